"""Hands of a recording as tracks over time: read, resampled, merged."""
