"""From one hand model to another: the pose and shape of the one that lie best on the surface of the other."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
