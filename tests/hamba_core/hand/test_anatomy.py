"""Axes and limits of the finger joints."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from hamba_core.arrays import Array
from hamba_core.hand.anatomy import default_joint_limits, flexion_axes, joint_axes
from hamba_core.hand.generic_hand import load_generic_hand
from hamba_core.hand.rotations import exp_so3
from hamba_core.hand.skeleton import FINGERS, JOINT_NAMES, MODEL_JOINT_NAMES

HAND = load_generic_hand()
REST = HAND.rest_joints_21(np.zeros(10))
vectors = arrays(np.float64, 3, elements=st.floats(-3, 3, width=32))


def posed(joint: str, vector: Array) -> dict[str, Array]:
    """Joints by name with one joint turned by a rotation vector."""
    hand_pose = np.tile(np.eye(3), (15, 1, 1))
    hand_pose[MODEL_JOINT_NAMES.index(joint) - 1] = exp_so3(vector)
    joints = HAND.pose(np.eye(3), hand_pose, np.zeros(10), np.zeros(3)).joints
    return dict(zip(JOINT_NAMES, joints, strict=True))


def axes_of(joint: str) -> Array:
    return np.asarray(joint_axes(REST)[MODEL_JOINT_NAMES.index(joint) - 1])


def below_palm(point: Array) -> float:
    """How far a point lies in front of the palm, metres."""
    wrist, index, little = REST[0], REST[JOINT_NAMES.index("index_1")], REST[JOINT_NAMES.index("little_1")]
    normal = np.cross(index - wrist, little - wrist)
    return float((point - wrist) @ normal / np.linalg.norm(normal))


@pytest.mark.parametrize("joint", MODEL_JOINT_NAMES[1:])
def test_positive_flexion_brings_the_tip_to_the_palm(joint: str) -> None:
    tip = joint[:-1] + "4"
    flat, closed = posed(joint, np.zeros(3)), posed(joint, 0.6 * axes_of(joint)[0])
    assert below_palm(closed[tip]) > below_palm(flat[tip]) + 0.002
    base_of_palm = (flat["wrist"] + flat["little_1"]) / 2
    assert np.linalg.norm(closed[tip] - base_of_palm) < np.linalg.norm(flat[tip] - base_of_palm)


@pytest.mark.parametrize("finger", FINGERS)
def test_a_finger_bent_in_all_its_joints_touches_the_palm(finger: str) -> None:
    hand_pose = np.tile(np.eye(3), (15, 1, 1))
    for i, angle in enumerate((0.6, 0.9, 1.2) if finger == "thumb" else (1.4, 1.7, 1.1)):
        j = MODEL_JOINT_NAMES.index(f"{finger}_{i + 1}") - 1
        hand_pose[j] = exp_so3(angle * HAND.flexion_axes[j])
    joints = HAND.pose(np.eye(3), hand_pose, np.zeros(10), np.zeros(3)).joints
    tip = JOINT_NAMES.index(f"{finger}_4")
    palm = (REST[0] + REST[5] + REST[9] + REST[17]) / 4
    assert np.linalg.norm(joints[tip] - palm) < 0.055 < np.linalg.norm(REST[tip] - palm)


def test_the_fingers_of_a_fist_stay_apart() -> None:
    hand_pose = np.tile(np.eye(3), (15, 1, 1))
    for j, name in enumerate(MODEL_JOINT_NAMES[1:]):
        if not name.startswith("thumb"):
            hand_pose[j] = exp_so3({"1": 1.4, "2": 1.7, "3": 1.0}[name[-1]] * HAND.flexion_axes[j])
    joints = HAND.pose(np.eye(3), hand_pose, np.zeros(10), np.zeros(3)).joints
    middles = np.stack([(joints[f + 1] + joints[f + 2]) / 2 for f in (5, 9, 13, 17)])
    gaps = np.linalg.norm(np.diff(middles, axis=0), axis=1)
    assert (gaps > 0.011).all()
    assert (gaps < 0.026).all()
    assert (np.diff(middles[:, 2]) < 0).all()


@pytest.mark.parametrize("finger", FINGERS[1:])
def test_positive_abduction_leads_a_finger_to_the_thumbs_side(finger: str) -> None:
    joint = f"{finger}_1"
    assert posed(joint, 0.3 * axes_of(joint)[1])[f"{finger}_4"][2] > REST[JOINT_NAMES.index(f"{finger}_4")][2] + 0.01


def test_positive_abduction_lifts_the_thumb_off_the_palm() -> None:
    lifted = posed("thumb_1", 0.4 * axes_of("thumb_1")[1])["thumb_4"]
    assert below_palm(lifted) > below_palm(REST[JOINT_NAMES.index("thumb_4")]) + 0.02


def test_axes_are_right_handed_and_at_right_angles() -> None:
    axes = joint_axes(REST)
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.tile(np.eye(3), (15, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(axes), 1, atol=1e-12)


@given(vectors, vectors, st.floats(0.5, 2))
def test_axes_turn_with_the_frame_and_not_with_place_or_size(turn: Array, shift: Array, size: float) -> None:
    rotation = exp_so3(turn)
    moved = size * REST @ rotation.T + shift
    np.testing.assert_allclose(flexion_axes(moved), flexion_axes(REST) @ rotation.T, atol=1e-9)


def test_the_generic_hand_carries_these_axes_and_limits() -> None:
    np.testing.assert_allclose(HAND.flexion_axes, flexion_axes(REST), atol=1e-4)
    np.testing.assert_array_equal(HAND.joint_limits, default_joint_limits())


def test_the_flat_hand_is_within_the_limits() -> None:
    limits = default_joint_limits()
    assert (limits[..., 0] <= 0).all()
    assert (limits[..., 1] > 0).all()
