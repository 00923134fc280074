"""hamba-s: Hamba's head at a small scale, over the feature maps of a hand-landmark network."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
