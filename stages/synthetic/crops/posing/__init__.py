"""How a hand is held: joint angles, gestures, grips, and the things that it holds."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
