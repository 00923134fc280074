"""Training: data sets, the loop, checkpoints that survive a kill, evaluation while it trains, export."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
