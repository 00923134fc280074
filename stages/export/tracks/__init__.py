"""Hands of a recording as tracks over time: read, resampled, merged."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
