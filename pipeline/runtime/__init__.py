"""The runtime runs a source, a line of stages and sinks, each in a thread of its own. It knows nothing of hands."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
