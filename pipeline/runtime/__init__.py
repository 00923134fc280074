"""Runs a source, a line of stages and sinks, each in a thread of its own. Knows no hand."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
