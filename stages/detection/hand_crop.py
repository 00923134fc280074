"""A hand's crop is a square in a picture, turned so that the hand points up in it; it may be mirrored.

Places and sizes are those that MediaPipe's networks were made for (`hand_landmark_landmarks_to_roi`): from the joints
that hardly move with the fingers, the box along the hand's own direction, twice as large. Pixels have their origin at
the corner of the picture, and of the crop.
"""

from dataclasses import dataclass
from math import atan2, cos, exp, hypot, log, sin
from typing import Final

import cv2
import numpy as np
from numpy.typing import ArrayLike

from hamba_core.arrays import Array
from stages.detection.hand_network import CROP_SIDE
from stages.packets import Image

# Wrist, thumb without its last joint and tip, and of each finger the knuckle and the joint after it.
_STEADY: Final = (0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18)
_SCALE: Final = 2.0  # of the box's longer side
_SHIFT: Final = 0.1  # of the box's length, towards the fingers
_LEAST_SIDE: Final = 4.0  # px
_GRID: Final = 1 / 512  # of the side; of a size's logarithm; radians. On 1 / 128 hands at rest trembled a fifth more


@dataclass(frozen=True)
class HandCrop:
    """A square in a picture, and how it is shown to the network."""

    x: float  # px, its centre
    y: float
    side: float  # px
    angle: float  # radians from the picture's x axis to the crop's, clockwise as the picture is seen
    mirrored: bool = False  # the crop is flipped, left to right

    def on_grid(self) -> "HandCrop":
        """Return the nearest crop on a fine grid of places, sizes and angles.

        Each crop of a hand that is followed comes from the joints seen in the one before. On the grid, two runs that
        began to follow it at different times soon look at the very same crops, and so see the very same; without it
        they differ for ever, by the noise of resampling.
        """
        side = exp(round(log(self.side) / _GRID) * _GRID)
        step = side * _GRID
        angle = round(self.angle / _GRID) * _GRID
        return HandCrop(round(self.x / step) * step, round(self.y / step) * step, side, angle, self.mirrored)

    @property
    def T_crop_picture(self) -> Array:  # noqa: N802 - a matrix, as in the field
        """The matrix (2, 3) that takes pixels of the picture to pixels of the crop."""
        scale = CROP_SIDE / self.side
        c, s = scale * cos(self.angle), scale * sin(self.angle)
        half = CROP_SIDE / 2
        T = np.array([[c, s, half - c * self.x - s * self.y], [-s, c, half + s * self.x - c * self.y]])
        if self.mirrored:
            T[0] = -T[0]
            T[0, 2] += CROP_SIDE
        return T

    def cut(self, image: Image) -> Image:
        """Return the crop (224, 224, 3) of a picture (H, W, 3); black where it reaches beyond."""
        T = self.T_crop_picture
        T[:, 2] += T[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV's pixels have their origin in the first one's centre
        # It is linear also where the picture is much finer than the crop: averaging changed no answer in HD pictures.
        crop = cv2.warpAffine(image, T, (CROP_SIDE, CROP_SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(crop)

    def to_picture(self, points: ArrayLike) -> Array:
        """Return the pixels of the picture for these pixels (..., 2) of the crop."""
        T = self.T_crop_picture
        moved = np.asarray(points, np.float64) - T[:, 2]
        return moved @ np.linalg.inv(T[:, :2]).T

    def axes_to_picture(self, points: ArrayLike) -> Array:
        """Turn vectors (..., 3) along the crop's axes to the picture's axes; a mirrored hand becomes the real one."""
        points = np.array(points, np.float64)
        if self.mirrored:
            points[..., 0] *= -1
        c, s = cos(self.angle), sin(self.angle)
        x, y = points[..., 0].copy(), points[..., 1].copy()
        points[..., 0], points[..., 1] = c * x - s * y, s * x + c * y
        return points


def crop_around(joints_2d: ArrayLike, *, mirrored: bool = False) -> HandCrop:
    """Return the crop for a hand whose joints (21, 2), px, are known."""
    joints = np.asarray(joints_2d, np.float64)
    up = upwards(joints)
    length = hypot(*up)
    direction = up / length if length > 0 else np.array([0.0, -1.0])
    axes = np.array([[-direction[1], direction[0]], -direction])  # the crop's, x and y
    along = joints[list(_STEADY)] @ axes.T
    least, most = along.min(0), along.max(0)
    width, height = most - least
    centre = (least + most) / 2 @ axes
    return square_around(centre, _SCALE * max(width, height), up, _SHIFT * height, mirrored=mirrored)


def upwards(joints: Array) -> Array:
    """Return the direction (2,), px, from wrist to knuckles, in which a hand with these joints (21, 2) points."""
    direction: Array = (joints[5] + joints[13]) / 4 + joints[9] / 2 - joints[0]
    return direction


def square_around(centre: Array, side: float, up: Array, shift: float = 0.0, *, mirrored: bool = False) -> HandCrop:
    """Return the square of this side, px, whose top is where `up` (2,) points; its centre is moved `shift` px there."""
    angle = atan2(up[0], -up[1]) if hypot(*up) > 0 else 0.0
    x, y = centre[0] + shift * sin(angle), centre[1] - shift * cos(angle)
    return HandCrop(float(x), float(y), max(float(side), _LEAST_SIDE), angle, mirrored)
