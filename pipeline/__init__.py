"""Puts stages together and runs them."""
