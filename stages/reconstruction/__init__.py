"""The reconstruct stage turns tracked boxes into hands, with an estimator: the Hamba network or a fit to landmarks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
