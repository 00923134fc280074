"""State-space blocks: the VSS block, its scans over four directions, and the convolution before them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
