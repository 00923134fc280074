"""The test pattern: two animated hands with exact ground truth, `synthetic:` as a source, and the clip that ships."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
