"""Record everything into one MCAP file, and read it back (`stages.recording.reader`)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
