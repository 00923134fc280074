"""The second hand: another mesh in the generic hand's structure, so that the same pose is the same pose."""

import numpy as np
import pytest

from hamba_core.hand import FINGERS, load_generic_hand
from hamba_core.view import Intrinsics
from stages.synthetic.crops import CropSettings, TrainingCrop, render_crop
from stages.synthetic.crops.figure import generic_betas, hand_model
from stages.synthetic.crops.posing import Kinematics
from stages.synthetic.crops.posing.poses import GESTURES, gesture

GENERIC, SECOND = load_generic_hand(), hand_model("second")
SHAPES = [np.zeros(10), *np.clip(np.random.default_rng(0).normal(0, 1, (4, 10)), -2, 2)]


def finger_directions(joints: np.ndarray) -> np.ndarray:
    bones = np.diff(joints[1:].reshape(5, 4, 3), axis=1)[:, :2]  # the last ends on the skin, wherever that is
    return np.asarray(bones / np.linalg.norm(bones, axis=2, keepdims=True))


@pytest.fixture(scope="module")
def crops() -> list[TrainingCrop]:
    return [render_crop(seed, CropSettings(mesh="second")) for seed in range(6000, 6006)]


def test_it_is_a_grown_ups_hand_that_is_open_at_the_forearm_only() -> None:
    joints = SECOND.rest_joints_21(np.zeros(10))
    assert 0.17 < np.linalg.norm(joints[12] - joints[0]) < 0.20
    faces = SECOND.faces
    edges, counts = np.unique(
        np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1), axis=0, return_counts=True
    )
    border = SECOND.v_template[np.unique(edges[counts == 1])]
    assert (counts <= 2).all()
    assert (border[:, 0] > joints[0, 0] + 0.03).all()


@pytest.mark.parametrize("name", GESTURES)
def test_a_pose_turns_its_fingers_where_it_turns_the_generic_hands(name: str) -> None:
    betas = np.zeros(10)
    hands = [model.pose(np.eye(3), Kinematics(model, betas).hand_pose(gesture(name)), betas, np.zeros(3))
             for model in (GENERIC, SECOND)]  # fmt: skip
    first, second = (finger_directions(hand.joints) for hand in hands)
    degrees = np.degrees(np.arccos(np.clip((first * second).sum(2), -1, 1)))
    assert degrees.max() < 6


def test_a_beta_changes_the_same_proportion() -> None:
    for index, finger in ((4, "index"), (5, "middle"), (6, "ring"), (7, "little")):
        first = 4 * FINGERS.index(finger) + 1
        lengths = []
        for value in (0.0, 1.0):
            joints = SECOND.rest_joints_21(value * np.eye(10)[index])
            lengths.append(np.linalg.norm(np.diff(joints[first : first + 4], axis=0), axis=1).sum())
        assert 1.04 < lengths[1] / lengths[0] < 1.09


def test_its_joints_stay_inside_its_skin_when_it_bends() -> None:
    betas = np.zeros(10)
    hand = SECOND.pose(np.eye(3), Kinematics(SECOND, betas).hand_pose(gesture("cup")), betas, np.zeros(3))
    for joint in (2, 3, 5, 6, 7, 9, 10, 11, 13, 14, 15, 17, 18, 19):
        nearest = np.linalg.norm(hand.vertices - hand.joints[joint], axis=1).min()
        assert 0.002 < nearest < 0.02


@pytest.mark.parametrize("betas", SHAPES)
def test_the_generic_hand_that_is_fitted_to_it_is_a_likely_one_and_near(betas: np.ndarray) -> None:
    fitted = generic_betas("second", betas)
    assert np.abs(fitted).max() < 4
    off = GENERIC.rest_joints_21(fitted) - SECOND.rest_joints_21(betas)
    assert np.linalg.norm(off - off.mean(0), axis=1).mean() < 0.009
    np.testing.assert_array_equal(generic_betas("generic", betas), betas)


def test_crops_of_it_say_so_and_their_joints_are_its_own(crops: list[TrainingCrop]) -> None:
    for crop in crops:
        truth = crop.truth
        assert truth.mesh == "second"
        np.testing.assert_allclose(Intrinsics(*truth.camera).project(truth.joints), truth.joints_2d, atol=1e-6)
        posed = GENERIC.pose(truth.global_orient, truth.hand_pose, truth.betas, truth.translation)
        assert np.linalg.norm(posed.joints - truth.joints, axis=1).mean() < 0.012
        np.testing.assert_allclose((posed.joints - truth.joints).mean(0), 0, atol=1e-9)


def test_the_same_seed_holds_both_hands_alike(crops: list[TrainingCrop]) -> None:
    generic = render_crop(6001)
    assert generic.truth.mesh == "generic"
    assert not np.array_equal(generic.image, crops[1].image)
    # The pose is drawn the same way; where fingers would collide in one hand only, it may be led apart.
    assert generic.truth.kind == crops[1].truth.kind
    assert generic.truth.view == crops[1].truth.view
