"""Makes the shipped weights."""
