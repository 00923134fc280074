"""What a calibration looks like: where the board's corners were, how far off they are, and a picture made straight."""

from typing import Final

import cv2
import numpy as np

from hamba_core.text import counted
from stages.calibration.boards import Array
from stages.calibration.solving import Solution
from stages.overlay import draw_label
from stages.packets import Image

_WIDTH: Final = 960  # px, of each half
_LONGER: Final = 20.0  # times, residuals are drawn
_FINE: Final = 0.5  # px
_BAD: Final = 1.5  # px


def picture_of(solution: Solution) -> Image:
    """Two pictures (H, W, 3) RGB side by side.

    Left is a view with the corners of all views on it, green where they are found again within half a pixel, red beyond
    one and a half, with their errors twenty times as long. Right is the same view without the lens's distortion.
    """
    scale = _WIDTH / solution.size[0]
    size = (_WIDTH, max(1, round(solution.size[1] * scale)))
    shown = max(solution.views, key=lambda view: len(view.corners.ids)).image
    left = _scaled(shown, size) // 2
    for view, residuals in zip(solution.views, solution.residuals, strict=True):
        for place, residual in zip(view.corners.places, residuals, strict=True):
            length = float(np.linalg.norm(residual))
            colour = (70, 220, 90) if length < _FINE else (250, 200, 60) if length < _BAD else (250, 70, 60)
            begin = (place + 0.5) * scale - 0.5
            ends = [
                tuple(round(float(value) * 16) for value in end) for end in (begin, begin + _LONGER * residual * scale)
            ]
            cv2.line(left, ends[0], ends[1], colour, 1, cv2.LINE_AA, 4)
            cv2.circle(left, ends[0], 2 * 16, colour, cv2.FILLED, cv2.LINE_AA, 4)
    make = cv2.fisheye.initUndistortRectifyMap if solution.fisheye else cv2.initUndistortRectifyMap
    maps = make(solution.matrix, solution.distortion, np.eye(3), solution.matrix, solution.size, cv2.CV_16SC2)
    right = _scaled(np.asarray(cv2.remap(shown, *maps, cv2.INTER_LINEAR), np.uint8), size)
    across, down = solution.field_of_view
    words = (
        f"{counted(len(solution.views), 'view')}, error {solution.error:.2f} px, errors drawn {_LONGER:g} times as long"
    )
    draw_label(left, words, np.array([[0, size[1]]], np.float32), (70, 220, 90))
    words = f"without distortion: {across:.1f} x {down:.1f} degrees"
    draw_label(right, words, np.array([[0, size[1]]], np.float32), (150, 150, 150))
    return np.concatenate([left, right], 1)


def _sixteenths(place: Array) -> tuple[int, int]:
    """Return a place (2,) px in sixteenths of a pixel, to which OpenCV draws."""
    x, y = np.round(place * 16).astype(int).tolist()
    return x, y


def _scaled(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
