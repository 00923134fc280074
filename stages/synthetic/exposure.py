"""The exposure is what a small camera makes of the light: soft focus, darker corners, a film curve and grain."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from stages.common.srgb import from_linear
from stages.packets import Image

BRIGHTEST = 1.6
"""Linear light that still differs from white."""
STEPS = 4096
GRAIN = 3.2
"""Standard deviation before it is softened, in steps of 0..255."""
ROOM = 61
"""Pixels by which the grain is larger than the picture, so that each picture gets another part of it."""


class Exposure:
    """It turns linear light into pictures of one size."""

    def __init__(self, size: tuple[int, int], rng: np.random.Generator) -> None:
        """Take the picture's `size` (width, height)."""
        self._width, self._height = size
        x, y = np.meshgrid(np.linspace(-0.5, 0.5, self._width), np.linspace(-0.5, 0.5, self._height))
        self._corners = (1 - 0.22 * (x * x + y * y)).astype(np.float32)[..., None]
        grain = rng.standard_normal((self._height + ROOM, self._width + ROOM, 3), np.float32)
        self._grain = cv2.GaussianBlur(grain, (0, 0), 0.55) * GRAIN
        self._display = (255 * _film(np.linspace(0, BRIGHTEST, STEPS))).astype(np.float32)

    def expose(self, light: Float32Array, seed: tuple[int, ...]) -> Image:
        """Return the picture (height, width, 3) of linear light (height, width, 3); `seed` decides its grain."""
        softness = 0.55 * max(self._height, self._width) / 640
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), softness), np.float32) * self._corners
        shown = self._display[np.clip(light * ((STEPS - 1) / BRIGHTEST), 0, STEPS - 1).astype(np.uint16)]
        x, y = np.random.default_rng(seed).integers(0, ROOM, 2)
        shown += self._grain[y : y + self._height, x : x + self._width]
        return np.asarray(np.clip(shown, 0, 255).astype(np.uint8))


def _film(light: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn linear light into display values 0..1, by sRGB's curve with a soft shoulder."""
    knee = 0.65
    over = np.maximum(light - knee, 0) / (1 - knee)
    held = np.minimum(light, knee) + (1 - knee) * (1 - np.exp(-over))
    return from_linear(held)
