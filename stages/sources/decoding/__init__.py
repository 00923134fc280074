"""Decoding turns encoded packets into RGB pictures: decoders, pixel formats, orientation, wide colour."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
