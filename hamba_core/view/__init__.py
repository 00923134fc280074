"""How a hand lies in a picture: cameras, crops and the way from a crop's camera to the picture's."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
