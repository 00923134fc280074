"""What was seen on real clips gives the hands that are there: each one, once, on its side, as a hand can be."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hamba_core.hand import SIDES, Side
from stages.common.proximity import hand_size, tight_box
from stages.packets import HandBox
from tests.stages.replays.replay import Measures, Replay, load_replay, measure

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


def _mirrored(replay: Replay) -> Replay:
    width, _ = replay.size

    def of(box: HandBox) -> HandBox:
        return replace(moved(box, box.joints_2d * (-1, 1) + (width, 0), box.joints_world * (-1, 1, 1)), side=other(box))

    sides = tuple(SIDES[1 - SIDES.index(side)] for side in replay.sides)
    return replace(each(replay, of), sides=sides)


def _upright(replay: Replay) -> Replay:
    """Turned by a quarter, as a phone's video."""
    width, height = replay.size
    turn = np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]])  # of rows
    upright = each(replay, lambda box: moved(box, box.joints_2d @ turn[:2, :2] + (height, 0), box.joints_world @ turn))
    return replace(upright, size=(height, width))


def _with_fewer_frames(replay: Replay) -> Replay:
    return replace(replay, times=replay.times[::3], boxes=replay.boxes[::3], owners=replay.owners[::3])


def _with_small_3d_landmarks(replay: Replay) -> Replay:
    """As of hands seen from their edge: their size is the detector's guess."""
    return each(replay, lambda box: replace(box, joints_world=box.joints_world * np.float32(0.4)))


def _with_noise(replay: Replay) -> Replay:
    """A hundredth of the hand's size in the picture, and a centimetre in space."""
    random = np.random.default_rng(0)

    def of(box: HandBox) -> HandBox:
        pixels = random.normal(0, 0.01 * hand_size(box.joints_2d), (21, 2))
        return moved(box, box.joints_2d + pixels, box.joints_world + random.normal(0, 0.01, (21, 3)))

    return each(replay, of)


def _twice_as_fast(replay: Replay) -> Replay:
    return replace(replay, times=replay.times / 2)


def each(replay: Replay, of: Callable[[HandBox], HandBox]) -> Replay:
    return replace(replay, boxes=tuple(tuple(map(of, boxes)) for boxes in replay.boxes))


def moved(box: HandBox, joints_2d: np.ndarray, joints_world: np.ndarray) -> HandBox:
    seen = joints_2d.astype(np.float32)
    return replace(box, joints_2d=seen, box=tight_box(seen), joints_world=joints_world.astype(np.float32))


def other(box: HandBox) -> Side:
    return SIDES[1 - SIDES.index(box.side)]


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize(
    "change",
    [_mirrored, _upright, _with_fewer_frames, _with_small_3d_landmarks, _with_noise, _twice_as_fast],
    ids=lambda change: change.__name__.strip("_"),
)
def test_the_same_hands_seen_otherwise_are_the_same_hands(name: str, change: Callable[[Replay], Replay]) -> None:
    found = measure(change(load_replay(HERE / f"{name}.npz", CLIPS[name])))[0]
    shares = found.shares()
    assert len(found.missing) <= 1
    assert found.far_off <= max(0.02 * found.shown, 3)
    assert shares["births"] == 1
    assert shares["extra"] == 0
    assert shares["wrong side"] == 0
    assert shares["impossible"] == 0
