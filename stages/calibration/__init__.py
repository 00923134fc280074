"""How a camera and its lens take pictures, measured from pictures of a board."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
