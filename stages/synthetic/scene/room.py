"""A room behind somebody before a webcam, out of focus: a window, shelves, a picture, a plant, a lamp."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from stages.synthetic.surfaces import Lights, linear

WALLS = ((206, 200, 188), (176, 190, 196), (190, 198, 180), (214, 196, 178), (150, 164, 178))
BOOKS = ((132, 52, 44), (44, 82, 112), (196, 162, 92), (70, 96, 74), (222, 212, 192), (88, 66, 96), (38, 42, 50))
"""sRGB colours."""

WIDTH, HEIGHT = 640, 480
"""The size at which a room is painted; being out of focus, it bears any enlargement."""


def room_lights(side: float) -> Lights:
    """Return a window behind the camera's left (-1) or right (1) shoulder, and a warm lamp opposite."""
    towards = np.array([side * 0.62, -0.55, -0.62])
    return Lights(
        direction=towards / np.linalg.norm(towards), colour=np.array([1.02, 1.00, 0.96], np.float32), width=0.2,
        above=np.array([0.29, 0.30, 0.31], np.float32), below=np.array([0.13, 0.11, 0.09], np.float32),
        side=np.array([0.22, 0.16, 0.09], np.float32), up=np.array([0.0, -1, 0]),
    )  # fmt: skip


def room_picture(rng: np.random.Generator, size: tuple[int, int], side: float) -> Float32Array:
    """Return the linear colours (height, width, 3) of a picture of this (width, height), the window on this side."""
    room = _Room(linear(WALLS[rng.integers(len(WALLS))]) * 0.62)
    room.window()
    room.shelves(rng)
    room.landscape(rng)
    room.plant(rng)
    room.lamp()
    picture = room.picture if side < 0 else room.picture[:, ::-1]
    blurred = cv2.GaussianBlur(picture, (0, 0), rng.uniform(5.0, 8.0))
    width, height = size
    scale = max(width / WIDTH, height / HEIGHT)
    large = cv2.resize(blurred, (max(width, round(WIDTH * scale)), max(height, round(HEIGHT * scale))))
    left, top = (large.shape[1] - width) // 2, (large.shape[0] - height) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width], np.float32)


class _Room:
    """Paints a room whose window is on the left."""

    def __init__(self, wall: Float32Array) -> None:
        y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
        self._x, self._y = x, y
        daylight = (1.15 - 0.65 * x / WIDTH) * (1.05 - 0.25 * y / HEIGHT)
        self.picture: Float32Array = np.asarray(wall * daylight[..., None], np.float32)

    def _box(self, left: float, top: float, right: float, bottom: float, colour: NDArray[np.floating]) -> None:
        corners = [(round(x * 16), round(y * 16)) for x, y in ((left, top), (right, bottom))]
        cv2.rectangle(self.picture, corners[0], corners[1], colour.tolist(), -1, cv2.LINE_AA, 4)

    def window(self) -> None:
        """Paint a window with sky and a hedge behind it, and a curtain."""
        self._box(-20, 20, 128, 330, linear((236, 234, 228)))
        for left in (-12, 58):
            self._box(left, 30, left + 62, 170, linear((226, 238, 250)) * 1.15)
            self._box(left, 180, left + 62, 320, linear((226, 238, 250)) * 1.15)
            self._box(left, 240, left + 62, 320, linear((150, 186, 130)))
        for fold in range(9):
            shade = 0.55 + 0.18 * np.sin(1.9 * fold)
            self._box(118 + 8 * fold, 0, 127 + 8 * fold, 360, linear((196, 178, 150)) * shade)

    def shelves(self, rng: np.random.Generator) -> None:
        """Paint shelves of books, with gaps."""
        wood = linear((124, 88, 58)) * 0.45
        self._box(418, 60, WIDTH + 10, HEIGHT, wood * 0.4)
        for base in (152.0, 248.0, 344.0, 440.0):
            left = 424.0
            while left < WIDTH:
                thick, tall = rng.uniform(8, 19), rng.uniform(48, 78)
                if rng.random() < 0.9:
                    book = linear(BOOKS[rng.integers(len(BOOKS))]) * rng.uniform(0.3, 0.55)
                    self._box(left, base - tall, left + thick, base, book)
                    self._box(left + 1.5, base - 0.8 * tall, left + thick - 1.5, base - 0.74 * tall, book * 2.2)
                left += thick + 1
            self._box(418, base, WIDTH + 10, base + 9, wood)

    def landscape(self, rng: np.random.Generator) -> None:
        """Paint a framed picture of hills."""
        self._box(232, 70, 352, 170, linear((52, 46, 42)))
        self._box(240, 78, 344, 162, linear((226, 220, 206)) * 0.7)
        heights = np.interp(np.arange(26) / 25 * 4, range(5), rng.uniform(112, 136, 5))
        for k, top in enumerate(heights.tolist()):
            self._box(252 + 3.23 * k, top, 256 + 3.23 * k, 154, linear((96, 128, 132)) * (0.5 + 0.2 * np.sin(k)))

    def plant(self, rng: np.random.Generator) -> None:
        """Paint long leaves that fan out of a pot, by the curtain."""
        along = np.linspace(0, 1, 14)
        for _ in range(34):
            angle, long = rng.normal(0, 0.75), rng.uniform(70, 150)
            x = 216 + np.sin(angle) * (long * along + 22 * along**2)
            y = 400 - long * np.cos(angle) * along + 38 * abs(angle) * along**2
            colour = (linear((58, 104, 58)) * rng.uniform(0.45, 1.3)).tolist()
            leaf = np.stack([x, y], 1).astype(np.int32)
            cv2.polylines(self.picture, [leaf], False, colour, int(rng.integers(4, 9)), cv2.LINE_AA)
        self._box(186, 392, 246, 500, linear((176, 108, 76)) * 0.6)

    def lamp(self) -> None:
        """Paint a small lamp and its glow on the wall."""
        glow = np.exp(-(((self._x - 384) / 90) ** 2) - ((self._y - 260) / 110) ** 2)
        self.picture += glow[..., None] * np.array([0.30, 0.19, 0.08], np.float32)
        self._box(372, 232, 402, 268, np.array([1.1, 0.85, 0.5], np.float32))
