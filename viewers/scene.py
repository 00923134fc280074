"""The scene is what every 3D viewer shows besides the meshes: colours, bones, ground and camera, as NumPy arrays.

Everything is in the camera frame: x right, y down, z forward, metres.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array, Int64Array
from hamba_core.hand import BONES
from hamba_core.view import Intrinsics
from stages.common.palette import JOINT_COLOURS, Colour
from stages.packets import FrameMeta

Look = Literal["mesh", "wireframe", "skeleton"]
LOOKS: tuple[Look, ...] = ("mesh", "wireframe", "skeleton")

BONE_PAIRS: Int64Array = np.array(BONES)
"""(20, 2) joints that a bone joins."""

JOINT_COLOR_ROWS: Array = np.array(JOINT_COLOURS) / 255
"""(21, 3) RGB 0..1, by finger."""

BACKGROUND: Colour = (28, 31, 36)
GRID_COLOR: Colour = (74, 78, 88)
CAMERA_COLOR: Colour = (191, 184, 102)

GROUND_HEIGHT = 0.35
"""The ground's y: so far below the camera."""

PICTURE_DEPTH = 1.5
"""Metres from the camera to where its picture hangs: behind any hand within reach."""

FRUSTUM_DEPTH = 0.08
"""Metres from the camera to the end of the frustum that stands for it."""

MIDDLE = (0.0, 0.03, 0.43)
"""Where hands mostly are; the free view turns about it."""

FREE_VIEW_EYE = (0.45, -0.31, -0.14)
"""Where the free view starts from: above the camera's right shoulder."""


def other_camera(before: FrameMeta | None, now: FrameMeta) -> bool:
    """Return whether pictures of another size or camera have begun."""
    return before is None or (before.width, before.height, before.camera) != (now.width, now.height, now.camera)


BONE_RADIUS = 0.0025
"""Metres."""

_SIDES = 6


def bone_tubes(joints: NDArray[np.floating]) -> Array:
    """Return the vertices (V, 3), joined by `BONE_FACES`, of a tube along each bone of a hand with joints (21, 3)."""
    start, end = np.asarray(joints, np.float64)[BONE_PAIRS].transpose(1, 0, 2)
    along = end - start
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    # Any direction across will do: the axis that the bone lies along least, made perpendicular.
    across = np.cross(along, np.eye(3)[np.abs(along).argmin(1)])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
    turns = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)[None, :, None]
    ring = BONE_RADIUS * (np.cos(turns) * across[:, None] + np.sin(turns) * np.cross(along, across)[:, None])
    return np.stack([start[:, None] + ring, end[:, None] + ring], 1).reshape(-1, 3)


def _tube_faces() -> Int64Array:
    near, then = np.arange(_SIDES), (np.arange(_SIDES) + 1) % _SIDES
    far, far_then = near + _SIDES, then + _SIDES
    one = np.concatenate([np.stack([near, then, far], 1), np.stack([then, far_then, far], 1)])
    return (one[None] + 2 * _SIDES * np.arange(len(BONE_PAIRS))[:, None, None]).reshape(-1, 3)


BONE_FACES = _tube_faces()
"""(F, 3) faces of `bone_tubes`, counter-clockwise seen from outside."""


def ground_grid(step: float = 0.1, reach: float = PICTURE_DEPTH / 2) -> tuple[Array, Int64Array]:
    """Return lines (N, 3), (L, 2) of a square grid on the ground before the camera."""
    ticks = np.arange(-reach, reach + step / 2, step)
    ends = np.array([-reach, reach])
    across = np.stack(np.broadcast_arrays(ends[None, :], GROUND_HEIGHT, ticks[:, None]), -1)
    along = across[..., [2, 1, 0]]
    points = np.concatenate([across, along]).reshape(-1, 3) + np.array([0.0, 0.0, reach])
    return points, np.arange(len(points)).reshape(-1, 2)


def picture_corners(camera: Intrinsics, width: int, height: int, depth: float) -> Array:
    """Return the corners (4, 3) of the picture hung `depth` before the camera, clockwise from the top left."""
    pixels = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    return camera.rays(pixels) * depth


def camera_frustum(
    camera: Intrinsics, width: int, height: int, depth: float = FRUSTUM_DEPTH
) -> tuple[Array, Int64Array]:
    """Return lines (5, 3), (8, 2) of the camera: its centre joined to the picture's corners."""
    points = np.concatenate([np.zeros((1, 3)), picture_corners(camera, width, height, depth)])
    return points, np.array([[0, 1], [0, 2], [0, 3], [0, 4], [1, 2], [2, 3], [3, 4], [4, 1]])


def look_at(eye: tuple[float, float, float], target: tuple[float, float, float]) -> Array:
    """Return T_eye_camera (4, 4), from the camera's frame to one at `eye` that looks at `target`, the ground level."""
    forward = np.subtract(target, eye) / np.linalg.norm(np.subtract(target, eye))
    right = np.cross([0.0, 1.0, 0.0], forward)
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = right, np.cross(forward, right), forward
    T[:3, 3] = -T[:3, :3] @ eye
    return T
