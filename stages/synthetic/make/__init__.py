"""The script that made the shipped clip and its truth. The product does not import it."""
