"""One file for each form of export."""
