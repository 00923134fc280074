"""The square that is cut for a network: around a hand, turned upright, as MediaPipe frames hands that it follows.

The turn takes the middle of the fingers' knuckles above the wrist. The square is twice the box of the palm and the
fingers' first joints, moved towards the fingers by a tenth of it (MediaPipe's `hand_landmark_landmarks_to_roi`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FRAMED_JOINTS = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
"""Joints whose box is taken: all but fingertips and the fingers' last joints."""
GROWTH = 2.0
SHIFT = 0.1


@dataclass(frozen=True)
class Jitter:
    """How far a first look is off: standard deviations, and how often it is far off."""

    turn: float = 0.12  # radians
    scale: float = 0.09  # of the logarithm
    shift: float = 0.035  # of the square's side
    gross: float = 0.06  # share of crops that are off three times as far


@dataclass(frozen=True, eq=False)
class Square:
    """A turned square of a picture."""

    centre: Array  # (2,) px
    side: float  # px
    turn: float  # radians: the picture's direction (sin, -cos) is up in the crop

    def transform(self, size: int) -> Array:
        """T_crop_picture (2, 3): pixels of the picture to those of the crop of this size."""
        scale, c, s = size / self.side, np.cos(self.turn), np.sin(self.turn)
        A = scale * np.array([[c, s], [-s, c]])
        return np.concatenate([A, (size / 2 - A @ self.centre)[:, None]], 1)


def square_around(joints_2d: Array) -> Square:
    """Return the square around joints (21, 2), pixels of a picture whose pixels are square."""
    knuckles = (joints_2d[5] + joints_2d[13]) / 4 + joints_2d[9] / 2
    up = knuckles - joints_2d[0]
    turn = float(np.arctan2(up[0], -up[1]))
    c, s = np.cos(turn), np.sin(turn)
    Q = np.array([[c, s], [-s, c]])
    framed = joints_2d[list(FRAMED_JOINTS)] @ Q.T
    low, high = framed.min(0), framed.max(0)
    size = high - low
    centre = (low + high) / 2 - (0, SHIFT * size[1])
    return Square(Q.T @ centre, GROWTH * float(size.max()), turn)


def jittered(square: Square, jitter: Jitter, rng: np.random.Generator) -> Square:
    """Return the square as a first look that is somewhat off would have it."""
    wide = 3.0 if rng.random() < jitter.gross else 1.0
    scale = np.exp(np.clip(rng.normal(0.02, jitter.scale * wide), -0.4, 0.5))
    shift = np.clip(rng.normal(0, jitter.shift * wide, 2), -0.25, 0.25) * square.side
    return Square(square.centre + shift, square.side * float(scale), square.turn + rng.normal(0, jitter.turn * wide))
