"""Export: a recording's hands in the forms that other programs read. `docs/formats.md` describes each of them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
