"""HandModel: posing in NumPy."""

import dataclasses
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from hamba_core.arrays import Array
from hamba_core.errors import HandModelError
from hamba_core.hand.generic_hand import load_generic_hand
from hamba_core.hand.mirror import MIRROR
from hamba_core.hand.rotations import exp_so3
from hamba_core.hand.skeleton import JOINT_NAMES, MODEL_JOINT_NAMES, Side

HAND = load_generic_hand()
IDENTITY = np.eye(3)
FLAT = np.tile(IDENTITY, (15, 1, 1))
NOWHERE = np.zeros(3)


def vectors(*shape: int, most: float) -> st.SearchStrategy[Array]:
    return arrays(np.float64, shape, elements=st.floats(-most, most, width=32))


rotations = vectors(3, most=3.125).map(exp_so3)
hand_poses = vectors(15, 3, most=1.0).map(exp_so3)
betas_like = vectors(10, most=2.0)
translations = vectors(3, most=2.0)


def test_identity_pose_gives_the_template() -> None:
    posed = HAND.pose(IDENTITY, FLAT, np.zeros(10), NOWHERE)
    np.testing.assert_allclose(posed.vertices, HAND.v_template, atol=1e-12)
    np.testing.assert_allclose(posed.joints, HAND.rest_joints_21(np.zeros(10)), atol=1e-12)


@given(betas_like)
def test_identity_pose_gives_the_shaped_template(betas: Array) -> None:
    posed = HAND.pose(IDENTITY, FLAT, betas, NOWHERE)
    np.testing.assert_allclose(posed.vertices, HAND.v_template + HAND.shapedirs @ betas, atol=1e-12)
    np.testing.assert_allclose(posed.joints, HAND.rest_joints_21(betas), atol=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
@given(seed=st.integers(0, 1000))
def test_joints_of_many_hands_are_those_of_the_hands_posed_one_by_one(side: Side, seed: int) -> None:
    random = np.random.default_rng(seed)
    model = replace(HAND, posedirs=random.normal(scale=1e-3, size=HAND.posedirs.shape))
    orients, poses = exp_so3(random.normal(size=(2, 3, 3))), exp_so3(random.normal(size=(2, 3, 15, 3)))
    betas, translations = random.normal(size=(2, 3, 10)), random.normal(size=(2, 3, 3))
    joints = model.joints(orients, poses, betas, translations, side)
    assert joints.shape == (2, 3, 21, 3)
    for place in np.ndindex(2, 3):
        posed = model.pose(orients[place], poses[place], betas[place], translations[place], side)
        np.testing.assert_allclose(joints[place], posed.joints, atol=1e-12)


@given(rotations, rotations, hand_poses, betas_like, translations)
def test_global_orient_and_translation_move_the_hand_rigidly_about_its_wrist(
    turn: Array, global_orient: Array, hand_pose: Array, betas: Array, translation: Array
) -> None:
    before = HAND.pose(global_orient, hand_pose, betas, NOWHERE)
    after = HAND.pose(turn @ global_orient, hand_pose, betas, translation)
    wrist = HAND.rest_joints(betas)[0]
    np.testing.assert_allclose(after.vertices, (before.vertices - wrist) @ turn.T + wrist + translation, atol=1e-9)
    np.testing.assert_allclose(after.joints, (before.joints - wrist) @ turn.T + wrist + translation, atol=1e-9)


@given(rotations, hand_poses, betas_like, translations)
def test_a_left_hand_is_the_mirrored_right_hand(
    global_orient: Array, hand_pose: Array, betas: Array, translation: Array
) -> None:
    right = HAND.pose(global_orient, hand_pose, betas, MIRROR @ translation, "right")
    left = HAND.pose(global_orient, hand_pose, betas, translation, "left")
    np.testing.assert_allclose(left.vertices, right.vertices @ MIRROR, atol=1e-12)
    np.testing.assert_allclose(left.joints, right.joints @ MIRROR, atol=1e-12)


@given(hand_poses, betas_like)
def test_bones_keep_their_length_in_every_pose(hand_pose: Array, betas: Array) -> None:
    rest = HAND.rest_joints(betas)
    joints = HAND.pose(IDENTITY, hand_pose, betas, NOWHERE).joints[[JOINT_NAMES.index(n) for n in MODEL_JOINT_NAMES]]
    for first in range(1, 16, 3):
        for parent, child in ((0, first), (first, first + 1), (first + 1, first + 2)):
            length = np.linalg.norm(rest[child] - rest[parent])
            assert np.linalg.norm(joints[child] - joints[parent]) == pytest.approx(length, abs=1e-9)


def test_a_joint_moves_only_what_hangs_on_it() -> None:
    index_2 = MODEL_JOINT_NAMES.index("index_2")
    hand_pose = FLAT.copy()
    hand_pose[index_2 - 1] = exp_so3(0.8 * HAND.flexion_axes[index_2 - 1])
    posed = HAND.pose(IDENTITY, hand_pose, np.zeros(10), NOWHERE)
    moved = np.linalg.norm(posed.vertices - HAND.v_template, axis=1) > 1e-9
    assert moved.any()
    assert not moved[HAND.weights[:, index_2 : index_2 + 2].sum(1) == 0].any()
    joints_moved = np.linalg.norm(posed.joints - HAND.rest_joints_21(np.zeros(10)), axis=1) > 1e-9
    assert [JOINT_NAMES[i] for i in np.flatnonzero(joints_moved)] == ["index_3", "index_4"]


def test_pose_correctives_move_vertices_and_leave_the_joints() -> None:
    posedirs = np.random.default_rng(0).normal(0, 1e-3, (len(HAND.v_template), 3, 135))
    corrected = dataclasses.replace(HAND, posedirs=posedirs)
    hand_pose = FLAT.copy()
    hand_pose[0] = exp_so3(0.5 * HAND.flexion_axes[0])
    before, after = (model.pose(IDENTITY, hand_pose, np.zeros(10), NOWHERE) for model in (HAND, corrected))
    still = HAND.weights[:, 1:4].sum(1) == 0  # the index finger's bones, which alone turn
    offsets = posedirs[:, :, :9] @ (hand_pose[0] - IDENTITY).ravel()
    np.testing.assert_allclose((after.vertices - before.vertices)[still], offsets[still], atol=1e-12)
    of_joints = [i for i, name in enumerate(JOINT_NAMES) if not name.endswith("4")]
    np.testing.assert_allclose(after.joints[of_joints], before.joints[of_joints], atol=1e-12)


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        HAND.v_template[0] = 0


def test_an_array_of_the_wrong_shape_is_named() -> None:
    with pytest.raises(HandModelError, match=r"weights.*\(1500, 16\).*\(1500, 15\)"):
        dataclasses.replace(HAND, weights=HAND.weights[:, :15])


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(HandModelError, match="v_template holds values that are not finite"):
        dataclasses.replace(HAND, v_template=np.full_like(HAND.v_template, np.nan))


def test_faces_that_name_no_vertex_are_refused() -> None:
    with pytest.raises(HandModelError, match=r"faces name vertices outside 0\.\.1499"):
        dataclasses.replace(HAND, faces=HAND.faces + 1)
