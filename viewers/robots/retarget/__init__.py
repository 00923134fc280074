"""Retargeting turns a person's hand into joint angles of a robot's."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
