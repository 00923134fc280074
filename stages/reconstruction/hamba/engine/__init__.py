"""The network kept busy on a device: batches in slots, graphs and streams on a GPU."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
