"""YAML presets, as package data."""
