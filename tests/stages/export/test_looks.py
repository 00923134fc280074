"""What scenes share: names and colours that tell hands apart."""

from pathlib import Path

import numpy as np

from hamba_core.hand import Side
from stages.common.palette import hand_colour
from stages.export.rig.looks import linear_colours, name_of
from stages.export.tracks import Track


def track(number: int, side: Side, first: float, last: float) -> Track:
    return Track(number, side, 10, 0, first, last, Path())


def test_hands_of_one_side_differ_in_colour_only_while_they_are_there_together() -> None:
    tracks = [track(1, "left", 0, 2), track(2, "left", 1, 4), track(3, "left", 3, 5), track(4, "right", 0, 5)]
    first, second, third, right = linear_colours(tracks)
    assert first == third
    assert len({tuple(first), tuple(second), tuple(right)}) == 3


def test_colours_are_the_palettes_without_the_transfer_curve() -> None:
    [linear] = linear_colours([track(1, "right", 0, 1)])
    encoded = np.where(
        np.array(linear) < 0.0031308, 12.92 * np.array(linear), 1.055 * np.array(linear) ** (1 / 2.4) - 0.055
    )
    np.testing.assert_allclose(255 * encoded, hand_colour("right"), atol=0.5)


def test_a_hands_name_tells_track_and_side() -> None:
    assert name_of(track(3, "left", 0, 1)) == "hand 3 left"
