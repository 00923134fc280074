"""Published data sets to train on, read as their archives lay them out, and their mixture."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
