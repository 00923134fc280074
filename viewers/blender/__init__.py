"""Blender takes hands by an add-on of its own, which `make addon` zips."""
