"""The smooth stage takes the jitter out of hands without making them lag.

`smoothing` is the stage, `track` one hand over time, `filters` how a value is held back.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
