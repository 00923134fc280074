"""The `landmarks` estimator: the hand model fitted to the detector's 21 joints, in NumPy.

`estimator` takes tracked boxes to hands; `shape` finds betas from bone lengths along a track; `fingers` is the
kinematics; `fit` is the fit itself.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
