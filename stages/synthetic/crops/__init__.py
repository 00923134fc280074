"""Training crops: pictures of single hands, made from a seed, with all that is true of the hand."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
