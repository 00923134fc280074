"""What was seen on real clips gives the hands that are there: each one, once, on its side, as a hand can be."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hamba_core.hand import SIDES, Side
from stages.common.proximity import hand_size, tight_box
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


def test_each_true_hand_is_one_hand_of_its_side(measures: dict[str, Measures]) -> None:
    for name, found in measures.items():
        shares = found.shares()
        assert shares["births"] == 1, name
        assert shares["extra"] == 0, name
        assert shares["wrong side"] == 0, name


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("seed", range(3))
def test_worse_detections_make_hardly_more_hands(name: str, seed: int) -> None:
    """One in twelve is missed, one in twenty has the wrong label and depth, one in twenty is found twice, askew."""
    random = np.random.default_rng(seed)
    replay = load_replay(HERE / f"{name}.npz", CLIPS[name])
    frames = [list(zip(boxes, owners, strict=True)) for boxes, owners in zip(replay.boxes, replay.owners, strict=True)]
    for frame in frames:
        for box, owner in list(frame):
            if random.random() < 1 / 12:
                frame.remove((box, owner))
                continue
            if random.random() < 1 / 20:
                wrong = replace(
                    box,
                    side="left" if box.side == "right" else "right",
                    score=random.uniform(0.6, 0.99),
                    joints_world=box.joints_world * (1, 1, -1),
                )
                frame[frame.index((box, owner))] = (wrong, owner)
            if len(frame) < 2 and random.random() < 1 / 20:
                middle = box.joints_2d.mean(0)
                aside = hand_size(box.joints_2d) * random.normal(0, 0.12, 2)
                joints = ((box.joints_2d - middle) * random.uniform(0.7, 0.95) + middle + aside).astype(np.float32)
                side = random.choice(SIDES)
                frame.append((replace(box, side=side, joints_2d=joints, box=tight_box(joints)), owner))
    worse = replace(
        replay,
        boxes=tuple(tuple(box for box, _ in frame) for frame in frames),
        owners=tuple(tuple(owner for _, owner in frame) for frame in frames),
    )
    shares = measure(worse)[0].shares()
    assert shares["shown"] >= 0.95
    assert shares["far off"] <= 0.02
    assert shares["births"] == 1
    assert shares["extra"] <= 0.01
    assert shares["wrong side"] <= 0.005
    assert shares["impossible"] == 0
