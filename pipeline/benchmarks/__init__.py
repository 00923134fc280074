"""Measurements of speed: ratios between things timed in one run on one machine."""
