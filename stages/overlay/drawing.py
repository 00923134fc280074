"""Skeletons and labels over a picture, antialiased."""

from typing import Final

import cv2
import numpy as np

from hamba_core.arrays import Float32Array
from hamba_core.hand import BONES
from stages.common.palette import BONE_COLOURS, JOINT_COLOURS, Colour
from stages.packets import Image

_OUTLINE: Final[Colour] = (24, 24, 28)
_SHIFT: Final = 4  # bits of a coordinate below the pixel
_FARTHEST: Final = 30_000  # px; beyond, OpenCV's integers overflow
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


def size_of_strokes(image: Image) -> float:
    """Return how thick lines and how large letters are for this picture; 1 at 640 x 480."""
    return max(0.75, int(min(image.shape[:2])) / 480)


def draw_skeleton(image: Image, joints_2d: Float32Array) -> None:
    """Draw bones and joints (21, 2) px, coloured by finger, into a picture (H, W, 3) RGB, in place."""
    size = size_of_strokes(image)
    # A pixel's centre is at a half in our coordinates and at a whole number in OpenCV's.
    points = [
        (int(x), int(y)) for x, y in np.round((joints_2d.clip(-_FARTHEST, _FARTHEST) - 0.5) * (1 << _SHIFT)).tolist()
    ]
    thick, radius = max(1, round(1.6 * size)), round(2.6 * size * (1 << _SHIFT))
    rim = max(1, round(size)) << _SHIFT
    for parent, child in BONES:
        cv2.line(image, points[parent], points[child], _OUTLINE, thick + 2, cv2.LINE_AA, _SHIFT)
    for (parent, child), colour in zip(BONES, BONE_COLOURS, strict=True):
        cv2.line(image, points[parent], points[child], colour, thick, cv2.LINE_AA, _SHIFT)
    for point, colour in zip(points, JOINT_COLOURS, strict=True):
        cv2.circle(image, point, radius + rim // 2, _OUTLINE, cv2.FILLED, cv2.LINE_AA, _SHIFT)
        cv2.circle(image, point, radius, colour, cv2.FILLED, cv2.LINE_AA, _SHIFT)


def draw_label(image: Image, text: str, near: Float32Array, colour: Colour) -> None:
    """Draw a line of text on a plate above the points (N, 2) px, inside the picture, in place."""
    size = size_of_strokes(image)
    scale, margin = 0.42 * size, round(4 * size)
    (text_width, text_height), below = cv2.getTextSize(text, _FONT, scale, 1)
    width, height = text_width + 2 * margin, text_height + below + 2 * margin
    rows, columns = image.shape[:2]
    left, top = near.min(0).clip(-_FARTHEST, _FARTHEST)
    x = round(float(np.clip(left, 0, max(0, columns - width))))
    y = round(float(np.clip(top - height - 6 * size, 0, max(0, rows - height))))
    plate = image[y : y + height, x : x + width]
    plate[:] = cv2.addWeighted(plate, 0.25, np.full_like(plate, _OUTLINE), 0.75, 0)
    plate[:, : max(2, round(3 * size))] = colour
    origin = (x + margin + max(1, round(size)), y + margin + text_height)
    cv2.putText(image, text, origin, _FONT, scale, (245, 245, 245), 1, cv2.LINE_AA)
