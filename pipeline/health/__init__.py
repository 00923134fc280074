"""Health tells supervisors over HTTP how a run is: whether it is alive, whether it is ready, and its numbers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
