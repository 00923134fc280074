"""Where in a picture palms are searched for.

The palm network sees a square of 192 px, and knows no hand in it that is smaller than an eighth of it, nor one that is
as large as it. So the whole picture is searched first; one that may be filled by a hand, or cut through one, with black
around it; and one whose hands may be far away in parts, each as large as the network can see.
"""

from itertools import product
from math import ceil
from typing import Final, NamedTuple, Self

SEEN: Final = 192
"""px, the side of what the network sees."""
AROUND: Final = 0.5
"""Of the picture's longer side: the black around it, in the search for hands that fill it or are cut by its border."""
PART: Final = 0.375
"""Of the picture's longer side: a part's side. A hand is found in it from a twentieth of the picture's longer side."""
FAR: Final = 0.2
"""Of the picture's longer side: where a hand is longer, others that are with it are found in the whole picture."""

_SHARED: Final = 0.35  # of a part's side, at least, is in the next one too: as much as a hand of the whole picture's
# search may be long, so that every smaller hand lies in one part wholly


class Region(NamedTuple):
    """A part of a picture, px, and how much black is around it, of its longer side."""

    left: int
    top: int
    width: int
    height: int
    margin: float = 0.0

    @classmethod
    def whole(cls, width: int, height: int, margin: float = 0.0) -> Self:
        """Return all of a picture."""
        return cls(0, 0, width, height, margin)


def parts_of(width: int, height: int) -> list[Region]:
    """Return the parts of a picture, squares that share what lies between them, from its top left on.

    A picture of which the network sees every pixel as it is has none.
    """
    if max(width, height) <= SEEN:
        return []
    side = round(PART * max(width, height))
    columns, rows = _starts(width, side), _starts(height, side)
    return [Region(left, top, min(side, width), min(side, height)) for top, left in product(rows, columns)]


def _starts(length: int, side: int) -> list[int]:
    if length <= side:
        return [0]
    steps = ceil((length - side) / (side * (1 - _SHARED)))
    return [round(i * (length - side) / steps) for i in range(steps + 1)]
