"""hamba-s: the small network whose weights ship, over the hand-landmark network's maps."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
