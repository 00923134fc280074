"""The scene is where the hands of the test pattern are: at a desk, or before a webcam in a room."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
