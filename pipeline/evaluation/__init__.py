"""The evaluation tells how accurate and how steady hands are: data sets, protocols, scores and report pages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
