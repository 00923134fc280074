"""The commands of `hamba`, a file each. Heavy imports stand inside the functions that need them."""
