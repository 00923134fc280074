"""How the hands of the test pattern move."""
