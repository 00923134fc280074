"""Weights on disk: a release's checkpoint, our own file, the conversion between them, and loading either."""
