"""The detect stage finds the hands in a frame, each with a box, a side and 21 joints."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
