"""The frame of a hand's palm: where a person's wrist is and how it is turned, as a robot's hand has it.

Its origin is the wrist, z goes along the middle metacarpal, x out of the palm, and y to the thumb's side of a right
hand: away from it of a left one. Wrist and knuckles move with the palm alone, so it does not depend on the fingers.
"""

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, Side

_INDEX, _MIDDLE, _RING = (JOINT_NAMES.index(f"{finger}_1") for finger in ("index", "middle", "ring"))


def wrist_pose(joints: NDArray[np.floating], side: Side) -> Array:
    """Return T_frame_wrist (4, 4) of a hand with joints (21, 3) m in any frame, of this side."""
    points = np.asarray(joints, np.float64)
    z = points[_MIDDLE] - points[0]
    z /= max(float(np.linalg.norm(z)), 1e-9)
    across = points[_INDEX] - points[_RING]
    if side == "left":
        across = -across
    x = np.cross(across, z)
    x /= max(float(np.linalg.norm(x)), 1e-9)
    T = np.eye(4)
    T[:3, :3] = np.stack([x, np.cross(z, x), z], 1)
    T[:3, 3] = points[0]
    return T


def joints_in_wrist(joints: NDArray[np.floating], side: Side) -> Array:
    """Return the joints (21, 3) m in the frame of their own wrist."""
    T = wrist_pose(joints, side)
    return (np.asarray(joints, np.float64) - T[:3, 3]) @ T[:3, :3]


def moved(T: Array, points: NDArray[np.floating]) -> Array:
    """Return points (..., 3) taken by T (4, 4)."""
    result: Array = np.asarray(points, np.float64) @ T[:3, :3].T + T[:3, 3]
    return result
