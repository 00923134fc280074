"""Which situation a hand is in, from its truth."""

from dataclasses import replace

import numpy as np
import pytest

from hamba_core.hand import MIRROR, Side, exp_so3, load_generic_hand
from hamba_core.view import Intrinsics
from pipeline.evaluation.groups import GROUPS, groups_of
from stages.synthetic import HandTruth

CAMERA = Intrinsics.estimate(640, 480)
PALM_TO_CAMERA = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
MODEL = load_generic_hand()


def _hand(
    bend: float = 0.0, turn: float = 0.0, side: Side = "right", place: tuple[float, float, float] = (0, 0.05, 0.5)
) -> HandTruth:
    """A hand with all joints bent, radians, and turned about its fingers' direction, degrees."""
    pose = exp_so3(MODEL.flexion_axes * bend)
    orient = exp_so3(np.array([0, np.radians(turn), 0.0])) @ PALM_TO_CAMERA
    posed = MODEL.pose(orient, pose, np.zeros(10), np.array(place), side)
    return HandTruth(
        side, orient, pose, np.zeros(10), np.array(place), posed.joints, posed.vertices, CAMERA.project(posed.joints),
        np.ones(21, bool), 1.0, palm_in_view=True,
    )  # fmt: skip


def _groups(hand: HandTruth, *others: HandTruth, speed: float = 0.1) -> frozenset[str]:
    return groups_of(hand, others, "plain", (640, 480), speed)


def test_every_group_has_a_name_in_the_tables() -> None:
    hands = [_hand(bend, turn, side) for bend in (0, 1.2) for turn in (0, 90, 180) for side in ("left", "right")]
    for hand in hands:
        assert _groups(hand) <= set(GROUPS)


def test_fingers_tell_open_from_fist() -> None:
    assert "open" in _groups(_hand(0))
    assert "fist" in _groups(_hand(1.2))
    assert not {"open", "fist"} & _groups(_hand(0.45))


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_turned_hand_shows_its_palm_its_edge_and_its_back(side: Side) -> None:
    shown = [_groups(_hand(turn=turn, side=side)) & {"palm", "edge-on", "back of the hand"} for turn in (0, 90, 180)]
    assert sorted(map(sorted, (shown[0], shown[2]))) == [["back of the hand"], ["palm"]]
    assert shown[1] == {"edge-on"}


def test_a_mirrored_right_hand_is_a_left_hand_that_shows_the_same() -> None:
    right = _hand()
    joints = right.joints @ MIRROR
    left = replace(right, side="left", joints=joints, joints_2d=CAMERA.project(joints))
    assert _groups(left) - {"left"} == _groups(right) - {"right"}


def test_tips_that_touch_are_a_pinch() -> None:
    hand = _hand(0.3)
    joints = hand.joints.copy()
    joints[4] = joints[8] + 0.005
    assert "pinch" in _groups(replace(hand, joints=joints))
    assert "pinch" not in _groups(hand)


def test_speed_size_border_and_the_other_hand_count() -> None:
    hand = _hand()
    assert "fast" in _groups(hand, speed=1.0)
    assert "at rest" in _groups(hand, speed=0.01)
    assert not {"fast", "at rest"} & _groups(hand, speed=float("nan"))
    assert "small" in _groups(_hand(place=(0, 0, 2.0)))
    assert "cut by the border" in _groups(_hand(place=(0.3, 0, 0.5)))
    assert "crossing" in _groups(hand, replace(hand, side="left", joints_2d=hand.joints_2d + 20))
    assert "crossing" not in _groups(hand, replace(hand, side="left", joints_2d=hand.joints_2d + 400))
    assert "dark" in groups_of(hand, (), "dark", (640, 480), 0.1)
