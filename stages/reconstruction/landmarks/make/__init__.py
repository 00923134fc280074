"""The script that measured `generic_offsets.txt`. The product does not import it."""
