"""Publishing: the sink, its settings, who may connect, and what those who listen ask for."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
