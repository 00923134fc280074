"""Cameras of this machine: which there are, what they can, and pictures from one of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
