"""Smooth noise in the plane from one fixed picture, the same on every machine."""

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FloatArray = NDArray[np.float32]

CELLS = 64
PIXELS = 512


@cache
def _picture() -> FloatArray:
    """Return (512, 512) value noise, about -1..1, that goes on over its borders; a cell is 8 pixels."""
    cells = np.random.default_rng(20).uniform(-1, 1, (CELLS, CELLS)).astype(np.float32)
    padded = np.pad(cells, 4, mode="wrap")
    scale = PIXELS // CELLS
    large = cv2.resize(padded, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(large[4 * scale : -4 * scale, 4 * scale : -4 * scale]) * 1.3


class Noise:
    """One crop's noise over surfaces."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._offset = rng.uniform(0, PIXELS, 2).astype(np.float32)

    def __call__(self, u: NDArray[np.floating], v: NDArray[np.floating], size: float) -> FloatArray:
        """Noise (N,) with features of about `size` at coordinates (N,) in the same unit."""
        step = np.float32(PIXELS / CELLS / size)
        return read_map(_picture(), u * step + self._offset[0], v * step + self._offset[1])


def read_map(picture: FloatArray, x: NDArray[np.floating], y: NDArray[np.floating]) -> FloatArray:
    """Return the values (N,) of a picture that goes on over its borders at pixels (N,), between pixels too."""
    if not len(x):
        return np.zeros(0, np.float32)
    rows = -(-len(x) // 256)  # OpenCV's maps have fewer than 32768 rows
    maps = np.zeros((2, rows * 256), np.float32)
    maps[0, : len(x)], maps[1, : len(x)] = x, y
    first, second = maps.reshape(2, rows, 256)
    answer = cv2.remap(picture, first, second, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return np.asarray(answer, np.float32).ravel()[: len(x)]


def smooth(low: float, high: float, x: NDArray[np.floating]) -> FloatArray:
    """Return 0 below `low`, 1 above `high`, smooth between; falling if low > high."""
    s = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(s * s * (3 - 2 * s), np.float32)


def bump(x: NDArray[np.floating], width: float) -> FloatArray:
    """Return 1 at 0, falling off over `width`."""
    return np.asarray(np.exp(-np.square(x / width)), np.float32)
