"""Measures how often events are wrong."""
