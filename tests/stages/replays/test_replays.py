"""What was seen on real clips gives the hands that are there: each one, once, on its side, as a hand can be."""

from pathlib import Path

import pytest

from hamba_core.hand import Side
from tests.stages.replays.replay import Measures, load_replay, measure

HERE = Path(__file__).parent
CLIPS: dict[str, tuple[Side, ...]] = {
    "desk_right_hand_blur": ("right",),
    "keyboard_two_hands": ("left", "right"),
    "one_right_hand_jumps": ("right",),
    "own_view_one_left_hand": ("left",),
    "signing_one_right_hand": ("right",),
}


@pytest.fixture(scope="module")
def measures() -> dict[str, Measures]:
    return {name: measure(load_replay(HERE / f"{name}.npz", sides))[0] for name, sides in CLIPS.items()}


def test_all_hands_that_are_detected_are_shown_where_they_are(measures: dict[str, Measures]) -> None:
    shares = sum(measures.values(), Measures()).shares()
    assert shares["shown"] >= 0.995
    assert shares["far off"] <= 0.01
    assert shares["impossible"] == 0
