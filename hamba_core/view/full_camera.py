"""The hand is taken from the crop's camera to the whole picture's.

The network sees a crop as a camera with weak perspective does, (s, t_x, t_y); the same hand is put where the
picture's camera sees it in the crop's place and size.
"""

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import Side
from hamba_core.view.camera import Intrinsics
from hamba_core.view.square import Square


def translation_in_picture(camera: NDArray[np.floating], square: Square, side: Side, intrinsics: Intrinsics) -> Array:
    """Take (s, t_x, t_y) of a crop to the hand's translation (3,), metres, in the camera's frame.

    `square` is in the pixels of `intrinsics`. A left hand's crop was mirrored, so t_x changes its sign.
    """
    s, t_x, t_y = (float(v) for v in camera)
    scale = square.side * s + 1e-9
    if side == "left":
        t_x = -t_x
    depth = 2 * intrinsics.fx / scale
    x = t_x + depth * (square.x - intrinsics.cx) / intrinsics.fx
    y = t_y + depth * (square.y - intrinsics.cy) / intrinsics.fy
    return np.array([x, y, depth])
