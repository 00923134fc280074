"""Scripts that made the shipped files beside this folder. The product does not import them."""
