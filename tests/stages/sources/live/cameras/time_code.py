"""A picture that shows the time at which it was taken, as black and white blocks, and how to read it."""

import numpy as np
from numpy.typing import NDArray

BLOCK = 20  # px
COLUMNS, ROWS = 8, 5
BITS = 32
TOP, LEFT = 20, 20


def _checksum(value: int) -> int:
    return (sum(value >> shift & 0xFF for shift in (0, 8, 16, 24)) * 31 + 7) & 0xFF


def draw(picture: NDArray[np.uint8], milliseconds: int) -> None:
    """Write the time, ms on the monotonic clock, into a picture (H, W, 3) of at least 200 x 140 px."""
    value = milliseconds & 0xFFFFFFFF
    bits = value << 8 | _checksum(value)
    for place in range(COLUMNS * ROWS):
        row, column = divmod(place, COLUMNS)
        on = bits >> (BITS + 8 - 1 - place) & 1
        top, left = TOP + row * BLOCK, LEFT + column * BLOCK
        picture[top : top + BLOCK, left : left + BLOCK] = 235 if on else 20


def read(picture: NDArray[np.uint8]) -> int | None:
    """Return the time in a picture, ms; None where it is damaged, or has none."""
    bits = 0
    for place in range(COLUMNS * ROWS):
        row, column = divmod(place, COLUMNS)
        top, left = TOP + row * BLOCK + 5, LEFT + column * BLOCK + 5
        bits = bits << 1 | int(picture[top : top + BLOCK - 10, left : left + BLOCK - 10].mean() > 128)
    value = bits >> 8
    return value if _checksum(value) == bits & 0xFF and value else None
