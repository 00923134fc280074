"""A picture with a few frames of a run, for a first look."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from stages.common.files import write_whole
from stages.overlay.drawing import draw_label
from stages.packets import Image

TILES: Final = 8
_COLUMNS: Final = 4
_TILE_SIZE: Final = 360  # px, of the longer side
_GAP: Final = 6  # px
_BACKGROUND: Final = (24, 24, 28)


class ContactSheet:
    """It collects frames spread evenly over a run of any length, in little memory. Frames with hands come first."""

    def __init__(self) -> None:
        self._with_hands, self._without = _Sample(), _Sample()

    def add(self, image: Image, label: str, *, hands: bool) -> None:
        """Offer a frame (H, W, 3) RGB, and what to write on it."""
        (self._with_hands if hands else self._without).add(image, label)

    def write(self, path: Path) -> bool:
        """Write it as PNG, if there was any frame. Raises OutputError."""
        tiles = (self._with_hands if self._with_hands.tiles else self._without).chosen()
        if not tiles:
            return False
        height, width = (max(tile.shape[axis] for tile in tiles) for axis in (0, 1))
        columns = min(_COLUMNS, len(tiles))
        rows = -(-len(tiles) // columns)
        sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _BACKGROUND, np.uint8)
        for i, tile in enumerate(tiles):
            y, x = (
                _GAP + place * (cell + _GAP) + (cell - size) // 2  # in the middle of its cell, which fits the largest
                for place, cell, size in zip(divmod(i, columns), (height, width), tile.shape, strict=False)
            )
            sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
        _, content = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
        write_whole(path, content.tobytes())
        return True


class _Sample:
    """It keeps every n-th frame, and doubles n whenever there are twice too many."""

    def __init__(self) -> None:
        self.tiles: list[Image] = []
        self._seen = 0
        self._step = 1

    def add(self, image: Image, label: str) -> None:
        if self._seen % self._step == 0:
            if len(self.tiles) == 2 * TILES:
                self.tiles = self.tiles[::2]
                self._step *= 2
            if self._seen % self._step == 0:
                self.tiles.append(_tile(image, label))
        self._seen += 1

    def chosen(self) -> list[Image]:
        """Return at most TILES of them, evenly spread."""
        indices = np.linspace(0, len(self.tiles) - 1, min(TILES, len(self.tiles)))
        return [self.tiles[round(i)] for i in indices]


def _tile(image: Image, label: str) -> Image:
    height, width = image.shape[:2]
    scale = _TILE_SIZE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    tile = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    draw_label(tile, label, np.array([[0, tile.shape[0]]], np.float32), (150, 150, 150))
    return tile
