"""Weights on disk: a release's checkpoint, our own file, the conversion between them, and loading either."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
