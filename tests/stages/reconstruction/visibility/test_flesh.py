"""What a hand hides of itself and of others."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.arrays import Array
from hamba_core.hand import MIRROR, exp_so3, load_generic_hand
from stages.reconstruction.visibility import flesh
from stages.reconstruction.visibility.flesh import LIMIT, covers
from stages.synthetic.motion.gestures import hand_pose, make_gestures

MODEL = load_generic_hand()
GESTURES = make_gestures(MODEL, np.zeros(10))
PALM_TO_CAMERA = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
"""Turns the resting hand, whose fingers are along -x and whose palm faces -y, upright with its palm to the camera."""
TIPS = [4, 8, 12, 16, 20]


def _joints(gesture: str, turn: float = 0.0, place: tuple[float, float, float] = (0, 0, 0.6)) -> Array:
    upright = exp_so3(np.array([0, turn, 0])) @ PALM_TO_CAMERA
    return MODEL.pose(upright, hand_pose(MODEL, GESTURES[gesture]), np.zeros(10), np.array(place)).joints


def test_a_flat_hand_hides_nothing_from_the_front_nor_from_the_back() -> None:
    for turn in (0.0, np.pi):
        hidden = covers(_joints("open", turn)[None])[0]
        assert (hidden[:, 0] <= 0).all()
        assert (hidden[:, 1] == -LIMIT).all(), "there is no other hand"


def test_a_flat_hand_from_its_edge_hides_most_fingers_behind_the_first() -> None:
    hidden = covers(_joints("four", np.pi / 2)[None])[0, :, 0]
    from_the_other_edge = covers(_joints("four", -np.pi / 2)[None])[0, :, 0]
    knuckles = np.array([5, 9, 13, 17])
    order = np.argsort(_joints("four", np.pi / 2)[knuckles, 2])
    assert (hidden[knuckles[order[1:]]] > 0).sum() >= 2
    assert from_the_other_edge[knuckles[order[-1]]] <= 0


def test_a_fist_hides_its_tips_on_one_side_alone() -> None:
    from_its_palm, from_its_back = (covers(_joints("fist", turn)[None])[0, TIPS[1:], 0] for turn in (0.0, np.pi))
    assert (from_its_palm < 0.3).all()
    assert (from_its_back > 0.3).all()


def test_a_hand_behind_another_is_hidden_by_it_and_the_one_before_is_not() -> None:
    both = np.stack([_joints("open"), _joints("open", place=(0, 0, 0.75))])
    hidden = covers(both)
    assert (hidden[0, :, 1] <= 0).all()
    assert (hidden[1, :, 1] > 0).sum() > 10


@given(st.floats(0.3, 3), st.floats(-3, 3), st.sampled_from(sorted(GESTURES)))
def test_neither_size_nor_side_matters(scale: float, turn: float, gesture: str) -> None:
    joints = _joints(gesture, turn)
    as_it_is = covers(joints[None])
    assert np.allclose(covers(scale * joints[None]), as_it_is, atol=1e-6)
    assert np.allclose(covers(joints[None] @ MIRROR), as_it_is, atol=1e-6)
    assert (np.abs(as_it_is) <= LIMIT).all()


@pytest.mark.parametrize("joints", [np.full((1, 21, 3), 0.5), np.full((2, 21, 3), 1e-3)])
def test_a_hand_without_extent_is_no_error(joints: Array) -> None:
    assert np.isfinite(covers(joints)).all()


@given(st.floats(-0.4, 0.4), st.floats(-0.3, 0.3), st.floats(0.3, 1.2), st.floats(-3, 3))
def test_hands_that_are_far_apart_are_passed_over_without_a_difference(
    x: float, y: float, z: float, turn: float
) -> None:
    both = np.stack([_joints("open"), _joints("fist", turn, (x, y, z))])
    quick = covers(both)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flesh, "_are_apart", lambda *_: False)
        np.testing.assert_allclose(quick, covers(both), atol=1e-9)
