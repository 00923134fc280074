"""The kinematics of the fingers."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.hand import joint_axes, load_generic_hand
from stages.reconstruction.landmarks.fingers import FINGER_JOINTS, Fingers

Array = np.ndarray
RandomAngles = Callable[[np.random.Generator, int], Array]


@pytest.fixture(scope="module")
def offsets() -> Array:
    """Landmarks a few millimetres off the joints (21, 3)."""
    offsets: Array = np.random.default_rng(8).normal(0, 0.005, (21, 3))
    return offsets


@pytest.fixture(scope="module")
def chains() -> tuple[Array, Array]:
    """First joints (1, 5, 3) and bones (1, 5, 3, 3) of the mean hand, wrist frame."""
    rest = load_generic_hand().rest_joints_21(np.zeros(10))
    points = (rest[1:] - rest[0]).reshape(1, 5, 4, 3)
    return points[:, :, 0], np.diff(points, axis=2)


@given(seed=st.integers(0, 10_000))
def test_fingers_bend_as_the_hand_model_bends_them(
    seed: int, chains: tuple[Array, Array], random_angles: RandomAngles
) -> None:
    model, fingers = load_generic_hand(), Fingers(load_generic_hand(), np.zeros((21, 3)))
    angles = random_angles(np.random.default_rng(seed), 1)
    posed = model.pose(np.eye(3), fingers.hand_pose(angles)[0], np.zeros(10), np.zeros(3))
    landmarks = fingers.pose(angles, *chains).landmarks.reshape(20, 3)
    np.testing.assert_allclose(landmarks, posed.joints[1:] - posed.joints[0], atol=1e-6)


@given(seed=st.integers(0, 10_000))
def test_the_jacobian_is_the_slope(
    seed: int, offsets: Array, chains: tuple[Array, Array], random_angles: RandomAngles
) -> None:
    fingers = Fingers(load_generic_hand(), offsets)
    angles = random_angles(np.random.default_rng(seed), 2)
    slopes = fingers.jacobian(fingers.pose(angles, *chains))
    step = 1e-6
    for number in range(9):
        nudge = np.zeros((1, 5, 9))
        nudge[..., number] = step
        ahead, behind = (fingers.pose(angles + s * nudge.reshape(1, 5, 3, 3), *chains).landmarks for s in (1, -1))
        np.testing.assert_allclose(slopes[..., number], ((ahead - behind) / (2 * step))[:, :, 1:], atol=1e-7)


@given(seed=st.integers(0, 10_000))
def test_the_closed_form_gives_back_flexion_and_abduction(
    seed: int, chains: tuple[Array, Array], random_angles: RandomAngles
) -> None:
    fingers = Fingers(load_generic_hand(), np.zeros((21, 3)))
    angles = random_angles(np.random.default_rng(seed), 1)
    angles[..., 2] = 0
    steps = np.diff(fingers.pose(angles, *chains).landmarks, axis=2)
    found = fingers.closed_form(steps / np.linalg.norm(steps, axis=-1, keepdims=True))
    np.testing.assert_allclose(found, angles, atol=1e-3)


def test_whatever_the_directions_the_closed_form_stays_within_limits() -> None:
    fingers = Fingers(load_generic_hand(), np.zeros((21, 3)))
    directions = np.random.default_rng(3).normal(size=(500, 5, 3, 3))
    angles = fingers.closed_form(directions / np.linalg.norm(directions, axis=-1, keepdims=True))
    limits = load_generic_hand().joint_limits[FINGER_JOINTS - 1]
    assert (angles >= limits[..., 0] - 1e-12).all()
    assert (angles <= limits[..., 1] + 1e-12).all()


def test_an_angle_beyond_a_limit_goes_to_the_nearer_one_round_the_circle() -> None:
    fingers = Fingers(load_generic_hand(), np.zeros((21, 3)))
    full_turn = np.full((1, 5, 3, 3), 2 * np.pi)
    np.testing.assert_allclose(
        fingers.within_limits(full_turn), np.clip(0, fingers.least, fingers.most)[None], atol=1e-12
    )
    bent_back = np.zeros((1, 5, 3, 3))
    bent_back[..., 0] = np.radians(-100)
    assert (fingers.within_limits(bent_back)[..., 0] == fingers.least[..., 0]).all()


def test_axes_are_those_that_limits_are_given_for() -> None:
    model = load_generic_hand()
    expected = joint_axes(model.rest_joints_21(np.zeros(10)))
    np.testing.assert_allclose(Fingers(model, np.zeros((21, 3))).axes, expected[FINGER_JOINTS - 1], atol=1e-3)


def test_finger_joints_are_those_of_the_joint_order() -> None:
    model = load_generic_hand()
    rest = model.rest_joints(np.zeros(10))
    in_joint_order = model.rest_joints_21(np.zeros(10))[1:].reshape(5, 4, 3)[:, :3]
    np.testing.assert_array_equal(rest[FINGER_JOINTS], in_joint_order)
