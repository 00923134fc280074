"""The square around a hand: upright, centred, as large as MediaPipe's, whatever way the hand is turned."""

import numpy as np
from hypothesis import given, strategies as st

from hamba_core.hand import load_generic_hand
from stages.synthetic.crops import Jitter
from stages.synthetic.crops.framing import jittered, square_around

JOINTS = 900 * load_generic_hand().rest_joints_21(np.zeros(10))[:, [1, 0]] + (300, 200)
"""A flat hand, pixels; its fingers point to the picture's top."""

turns = st.floats(-3.1, 3.1)


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray((points - (300, 200)) @ np.array([[c, s], [-s, c]]) + (300, 200))


@given(angle=turns, scale=st.floats(0.2, 5))
def test_the_square_turns_and_grows_with_the_hand(angle: float, scale: float) -> None:
    first = square_around(JOINTS)
    second = square_around(scale * turned(JOINTS, angle))
    assert abs(second.side - scale * first.side) < 1e-6 * second.side
    off = (second.turn - first.turn - angle + np.pi) % (2 * np.pi) - np.pi
    assert abs(off) < 1e-9
    np.testing.assert_allclose(second.centre, scale * turned(first.centre[None], angle)[0], atol=1e-6)


@given(angle=turns)
def test_in_the_crop_the_knuckles_are_straight_above_the_wrist(angle: float) -> None:
    joints = turned(JOINTS, angle)
    T = square_around(joints).transform(224)
    crop = joints @ T[:, :2].T + T[:, 2]
    knuckles = (crop[5] + crop[13]) / 4 + crop[9] / 2
    assert abs(knuckles[0] - crop[0, 0]) < 1e-6
    assert knuckles[1] < crop[0, 1]
    assert ((crop > 0) & (crop < 224)).all()


def test_the_transform_takes_the_squares_middle_to_the_crops_middle() -> None:
    square = square_around(JOINTS)
    T = square.transform(224)
    np.testing.assert_allclose(T[:, :2] @ square.centre + T[:, 2], (112, 112))
    assert np.isclose(np.linalg.det(T[:, :2]), (224 / square.side) ** 2)


def test_jitter_is_as_large_as_it_says() -> None:
    square, rng = square_around(JOINTS), np.random.default_rng(0)
    many = [jittered(square, Jitter(turn=0.1, scale=0.05, shift=0.02, gross=0), rng) for _ in range(2000)]
    assert 0.09 < np.std([s.turn - square.turn for s in many]) < 0.11
    assert 0.045 < np.std([np.log(s.side / square.side) for s in many]) < 0.055
    shifts = np.array([(s.centre - square.centre) / square.side for s in many])
    assert np.allclose(shifts.std(0), 0.02, atol=0.002)


def test_no_jitter_leaves_the_middle_and_the_turn() -> None:
    square = square_around(JOINTS)
    same = jittered(square, Jitter(turn=0, scale=0, shift=0, gross=0), np.random.default_rng(0))
    np.testing.assert_allclose(same.centre, square.centre)
    assert same.turn == square.turn
