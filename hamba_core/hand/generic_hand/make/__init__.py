"""Scripts that made `generic_hand.npz`. The product does not import them."""
