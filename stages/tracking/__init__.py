"""The track stage tells which hand is which from frame to frame, its side, and where it is while it is not seen.

`tracking` is the stage, `track` one hand over time, `sides` what is known of a person's hands, `picture` what the whole
picture does.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
