"""A board or tag in the picture tells where the camera stands: the world is the board's.

Its origin is the board's first inner corner, or the tag's middle; x goes to the right along the board as it is printed,
y up along it, z out of it, towards whoever looks at it.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import log_so3
from hamba_core.view import Intrinsics
from stages.calibration import Board
from stages.packets import Image

T_WORLD_BOARD: Final = np.diag([1.0, -1, -1, 1])
"""OpenCV's boards have y down and z into them."""
MOST_ERROR: Final = 3.0
"""px, root of the mean square over the corners: beyond it what was seen is not the board."""
_CORNER: Final = 0.2
"""px, by which a corner is off at least."""
_LEAST_KNOWN: Final = 0.03
"""Of its distance from the board, as which the camera's place is known, or it is not told: few corners, far away."""
_TWO_FOLD: Final = 1.5
"""A flat thing seen from afar looks the same from two sides: the better pose must be better by this factor."""
_NEAR: Final = (0.05, 0.17)
"""Or else it must be this near to the last one: m and rad."""


class Sighting(NamedTuple):
    """Where the camera stands, as one picture says."""

    T_world_camera: Array  # (4, 4)
    error: float  # px, root of the mean square over the corners


def sight(board: Board, image: Image, camera: Intrinsics, last: Array | None = None) -> Sighting | None:
    """Return where the camera stands by a picture (H, W, 3) RGB; none where the board is not seen, or not well enough.

    `last` is T_world_camera of shortly before, which decides where two poses fit the same.
    """
    found = board.find(np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8))
    if found is None:
        return None
    points, places = board.points[found.ids], found.places + 0.5  # pixels here begin at the picture's corner
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    try:
        _, turns, shifts, _ = cv2.solvePnPGeneric(points, places, matrix, None, flags=cv2.SOLVEPNP_IPPE)
    except cv2.error:  # corners on a line
        return None
    poses = []
    for turn, shift in zip(turns, shifts, strict=True):
        turn, shift = cv2.solvePnPRefineLM(points, places, matrix, None, turn, shift)
        seen, slopes = cv2.projectPoints(points, turn, shift, matrix, None)
        error = float(np.sqrt(((np.asarray(seen).reshape(-1, 2) - places) ** 2).sum(1).mean()))
        distance = float(np.linalg.norm(shift))
        known = _place_std(np.asarray(slopes, np.float64)[:, :6], distance, error) < _LEAST_KNOWN * distance
        if np.isfinite(error) and float(np.asarray(shift).ravel()[2]) > 0 and known:
            poses.append(Sighting(_T_world_camera(np.asarray(turn), np.asarray(shift)), error))
    poses.sort(key=lambda pose: pose.error)
    if not poses or poses[0].error > MOST_ERROR:
        return None
    alike = [pose for pose in poses if pose.error < max(_TWO_FOLD * poses[0].error, poses[0].error + 0.1)]
    if all(_is_near(pose, poses[0].T_world_camera, 0.1) for pose in alike):
        return poses[0]
    if last is None:
        return None
    return next((pose for pose in alike if _is_near(pose, last)), None)


def _place_std(slopes: Array, distance: float, error: float) -> float:
    """Return how uncertain the camera's place is, m, from the slopes (2N, 6) of the corners' pixels over the pose.

    The board's turn is seen as the camera's place, the farther off the more.
    """
    try:
        variances = np.diag(np.linalg.inv(slopes.T @ slopes)) * max(error, _CORNER) ** 2
    except np.linalg.LinAlgError:
        return np.inf
    return float(np.sqrt(variances[3:].sum() + distance**2 * variances[:3].sum()))


def apart(one: Array, other: Array) -> tuple[float, float]:
    """Return how far two poses (4, 4) are from each other, m and rad."""
    turn = log_so3(one[:3, :3].T @ other[:3, :3])
    return float(np.linalg.norm(one[:3, 3] - other[:3, 3])), float(np.linalg.norm(turn))


def _is_near(pose: Sighting, other: Array, share: float = 1.0) -> bool:
    metres, radians = apart(pose.T_world_camera, other)
    return metres < share * _NEAR[0] and radians < share * _NEAR[1]


def _T_world_camera(turn: Array, shift: Array) -> Array:  # noqa: N802 - a matrix, as in the field
    T_camera_board = np.eye(4)
    T_camera_board[:3, :3] = cv2.Rodrigues(turn)[0]
    T_camera_board[:3, 3] = shift.ravel()
    return np.asarray(T_WORLD_BOARD @ np.linalg.inv(T_camera_board))
