"""A hand with its forearm, skin and clothes, as surfaces that can be drawn."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
