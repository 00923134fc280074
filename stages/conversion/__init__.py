"""A recording of one hand model becomes a recording of another: MANO's parameters for those who have MANO's file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
