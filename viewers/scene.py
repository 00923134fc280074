"""What every 3D viewer shows besides the meshes: colours, bones, ground and camera, as NumPy arrays.

Everything is in the camera frame: x right, y down, z forward, metres.
"""

import colorsys

import numpy as np
from numpy.typing import NDArray

from hamba_core.camera import Intrinsics
from hamba_core.skeleton import BONES, Side

Points = NDArray[np.float64]
Pairs = NDArray[np.int64]

BONE_PAIRS: Pairs = np.array(BONES)
"""(20, 2) joints that a bone joins."""

GROUND_HEIGHT = 0.35
"""The ground's y: so far below the camera."""

_HUES = {"right": 0.06, "left": 0.57}  # warm and cool


def hand_color(side: Side, track_id: int) -> tuple[float, float, float]:
    """RGB 0..1: warm for right hands, cool for left ones, a shade of its own for each track."""
    turn = (track_id * 0.618034) % 1.0 - 0.5
    return colorsys.hsv_to_rgb((_HUES[side] + 0.10 * turn) % 1.0, 0.52, 0.92)


def ground_grid(step: float = 0.1, reach: float = 0.8) -> tuple[Points, Pairs]:
    """Lines (N, 3), (L, 2) of a square grid on the ground before the camera."""
    ticks = np.arange(-reach, reach + step / 2, step)
    ends = np.array([-reach, reach])
    across = np.stack(np.broadcast_arrays(ends[None, :], GROUND_HEIGHT, ticks[:, None]), -1)
    along = across[..., [2, 1, 0]]
    points = np.concatenate([across, along]).reshape(-1, 3) + np.array([0.0, 0.0, reach])
    return points, np.arange(len(points)).reshape(-1, 2)


def picture_corners(camera: Intrinsics, width: int, height: int, depth: float) -> Points:
    """Corners (4, 3) of the picture hung `depth` before the camera: left top, right top, right bottom, left bottom."""
    pixels = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    return camera.rays(pixels) * depth


def camera_frustum(camera: Intrinsics, width: int, height: int, depth: float = 0.08) -> tuple[Points, Pairs]:
    """Lines (5, 3), (8, 2) of the camera: its centre joined to the picture's corners."""
    points = np.concatenate([np.zeros((1, 3)), picture_corners(camera, width, height, depth)])
    return points, np.array([[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1]])
