"""The hand: its skeleton and anatomy, rotations, and the models that give a mesh for its parameters."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
