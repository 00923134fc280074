"""Files that a stranger may have made are read without trust: nothing is executed, and memory has a bound."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
