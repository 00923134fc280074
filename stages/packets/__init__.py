"""What flows between stages: frozen dataclasses that check themselves when they are made.

Units are metres, seconds, radians and pixels; the camera frame is OpenCV's (x right, y down, z forward); joint order is
`hamba_core.hand.skeleton.JOINT_NAMES`; a box is (left, top, right, bottom). `repr` prints shapes, never data.
Arrays are read-only once they are in a packet: stages share them without copying.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
