"""Measures what needs more than the product."""
