"""A square is the place of a hand's crop in a picture."""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from hamba_core.network import TOKEN_COLUMNS, TOKEN_ROWS

RESCALE: Final = 2.0
"""How much larger than the hand's box the crop is, in the release."""


class Square(NamedTuple):
    """A crop's place in a picture, px, the origin at the picture's corner."""

    x: float  # of its centre
    y: float
    side: float


def square_around(box: ArrayLike, rescale: float = RESCALE) -> Square:
    """Return the square crop for a box (left, top, right, bottom): the box enlarged and grown to the aspect 192:256."""
    left, top, right, bottom = np.asarray(box, np.float64).tolist()
    width, height = rescale * (right - left), rescale * (bottom - top)
    side = max(height, width * TOKEN_ROWS / TOKEN_COLUMNS, 1.0)
    return Square((left + right) / 2, (top + bottom) / 2, side)
