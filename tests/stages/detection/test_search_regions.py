"""Parts of a picture that are searched for far hands hold every small hand wholly, and nothing beyond the picture."""

import numpy as np
from hypothesis import example, given, strategies as st

from stages.detection.search_regions import PART, SEEN, parts_of

LARGEST = 0.13
"""Of the picture's longer side: a hand that is not smaller is found in the picture as a whole."""

lengths = st.integers(SEEN + 1, 4000)


@given(lengths, lengths, st.floats(0, 1), st.floats(0, 1))
def test_every_small_hand_lies_in_one_part_wholly(width: int, height: int, x: float, y: float) -> None:
    longer = max(width, height)
    size = np.array([width, height], np.float64)
    hand = np.minimum(LARGEST * longer, size)
    corner = np.array([x, y]) * (size - hand)
    assert any(
        (corner >= (part.left - 1, part.top - 1)).all()
        and (corner + hand <= (part.left + part.width + 1, part.top + part.height + 1)).all()
        for part in parts_of(width, height)
    )


@given(st.integers(1, 4000), st.integers(1, 4000))
@example(3, 3)
def test_parts_are_in_the_picture_and_few(width: int, height: int) -> None:
    parts = parts_of(width, height)
    side = max(round(PART * max(width, height)), 1)
    for part in parts:
        assert part.left >= 0
        assert part.top >= 0
        assert (part.width, part.height) == (min(side, width), min(side, height))
        assert part.left + part.width <= width
        assert part.top + part.height <= height
    assert len(parts) <= 16
    assert bool(parts) == (max(width, height) > SEEN)
