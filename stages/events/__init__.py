"""What hands do: pinch, grab, point, open and thumbs up, as starts, holds and ends."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
