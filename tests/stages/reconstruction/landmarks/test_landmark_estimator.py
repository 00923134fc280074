"""The `landmarks` estimator: tracked boxes to hands."""

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.hand import MIRROR, SIDES, PosedHand, Side, load_generic_hand
from hamba_core.metrics import mpjpe, pa_mpjpe
from hamba_core.view import Intrinsics
from stages.packets import Detections, Hand, HandBox
from stages.reconstruction.landmarks.estimator import FORGET_AFTER, LandmarksEstimator
from stages.reconstruction.landmarks.fingers import FINGER_JOINTS, Fingers

SeeHand = Callable[..., tuple[Detections, PosedHand]]
sides = st.sampled_from(SIDES)
seeds = st.integers(0, 10_000)


@pytest.fixture
def estimator() -> LandmarksEstimator:
    return LandmarksEstimator(load_generic_hand())


def _only(estimator: LandmarksEstimator, detections: Detections) -> Hand:
    (hand,) = estimator.reconstruct([detections])[0]
    return hand


def _swap(detections: Detections, **changes: object) -> Detections:
    """The same frame with its box changed."""
    (box,) = detections.boxes
    return replace(detections, boxes=(replace(box, **changes),))  # type: ignore[arg-type]


@given(seed=seeds, side=sides)
def test_exact_landmarks_of_the_mean_hand_give_it_back(seed: int, side: Side, see_hand: SeeHand) -> None:
    seen, truth = see_hand(seed, side)
    hand = _only(LandmarksEstimator(load_generic_hand()), seen)
    assert pa_mpjpe(hand.joints, truth.joints) < 0.003
    assert mpjpe(hand.joints, truth.joints) < 0.02 * truth.joints[0, 2]
    assert np.linalg.norm(hand.joints_2d - seen.boxes[0].joints_2d, axis=1).mean() < 1


@given(seed=seeds, side=sides)
def test_noisy_landmarks_give_a_hand_nearer_to_the_truth_than_they_are(
    seed: int, side: Side, see_hand: SeeHand
) -> None:
    betas = np.random.default_rng(seed).normal(0, 0.7, 10)
    seen, truth = see_hand(seed, side, betas=betas, world_noise=0.008, pixel_noise=2)
    hand = _only(LandmarksEstimator(load_generic_hand()), seen)
    assert pa_mpjpe(hand.joints, truth.joints) < 0.8 * pa_mpjpe(seen.boxes[0].joints_world, truth.joints)


@given(seed=seeds, side=sides)
def test_fingers_stay_within_limits_whatever_the_landmarks(seed: int, side: Side, see_hand: SeeHand) -> None:
    seen, _ = see_hand(seed, side, world_noise=0.03, pixel_noise=10)
    model = load_generic_hand()
    for hand in LandmarksEstimator(model).reconstruct([seen])[0]:
        pose = hand.hand_pose[FINGER_JOINTS - 1].astype(np.float64)
        axes = Fingers(model, np.zeros((21, 3))).axes  # rows: flexion, abduction, twist
        local = axes @ pose @ axes.swapaxes(-1, -2)
        # R = X(a) Y(b) Z(c) in the joint's own axes.
        angles = np.stack(
            [
                np.arctan2(-local[..., 1, 2], local[..., 2, 2]),
                np.arcsin(np.clip(local[..., 0, 2], -1, 1)),
                np.arctan2(-local[..., 0, 1], local[..., 0, 0]),
            ],
            -1,
        )
        limits = model.joint_limits[FINGER_JOINTS - 1]
        assert (angles > limits[..., 0] - 1e-5).all()
        assert (angles < limits[..., 1] + 1e-5).all()


@given(seed=seeds, side=sides)
def test_the_parameters_give_the_joints_and_the_mesh_is_left_to_others(
    seed: int, side: Side, see_hand: SeeHand
) -> None:
    seen, _ = see_hand(seed, side, world_noise=0.005, pixel_noise=1)
    model = load_generic_hand()
    hand = _only(LandmarksEstimator(model), seen)
    posed = model.pose(hand.global_orient, hand.hand_pose, hand.betas, hand.translation, side)  # type: ignore[arg-type]
    assert hand.vertices.shape == (0, 3)
    np.testing.assert_allclose(hand.joints, posed.joints, atol=1e-5)
    np.testing.assert_allclose(hand.joints_2d, seen.frame.meta.camera.project(posed.joints), atol=0.05)


@given(seed=seeds)
def test_a_mirrored_picture_gives_the_mirrored_hand(seed: int, see_hand: SeeHand) -> None:
    seen, _ = see_hand(seed, "right", world_noise=0.005, pixel_noise=1)
    (box,) = seen.boxes
    mirrored = _swap(
        seen,
        side="left",
        joints_2d=box.joints_2d * (-1, 1) + (640, 0),
        joints_world=box.joints_world * (-1, 1, 1),
        box=np.array([640 - box.box[2], box.box[1], 640 - box.box[0], box.box[3]]),
    )
    right, left = (_only(LandmarksEstimator(load_generic_hand()), view) for view in (seen, mirrored))
    assert left.side == "left"
    np.testing.assert_allclose(left.joints, right.joints @ MIRROR, atol=1e-4)
    np.testing.assert_allclose(left.translation, right.translation @ MIRROR, atol=1e-4)
    for name in ("global_orient", "hand_pose", "betas"):
        np.testing.assert_allclose(getattr(left, name), getattr(right, name), atol=1e-4)


def test_a_model_with_pose_correctives_is_fitted_too(see_hand: SeeHand) -> None:
    """As MANO has them: they move the tips a little, which the kinematics do not know."""
    generic = load_generic_hand()
    posedirs = np.random.default_rng(0).normal(0, 3e-4, generic.posedirs.shape)
    model = replace(generic, name="corrected", posedirs=posedirs)
    for seed in range(10):
        seen, truth = see_hand(seed, SIDES[seed % 2])
        hand = _only(LandmarksEstimator(model), seen)
        assert pa_mpjpe(hand.joints, truth.joints) < 0.003
        posed = model.pose(hand.global_orient, hand.hand_pose, hand.betas, hand.translation, hand.side)  # type: ignore[arg-type]
        np.testing.assert_allclose(hand.joints, posed.joints, atol=1e-5)


def test_hands_fitted_together_are_those_fitted_alone(see_hand: SeeHand) -> None:
    frames = [see_hand(i, SIDES[i % 2], world_noise=0.005, pixel_noise=1, track_id=i, index=i)[0] for i in range(6)]
    two_boxes = replace(frames[0], boxes=frames[0].boxes + frames[1].boxes)
    empty = replace(frames[0], boxes=())
    together = LandmarksEstimator(load_generic_hand()).reconstruct([two_boxes, empty, *frames[2:]])
    assert [len(hands) for hands in together] == [2, 0, 1, 1, 1, 1]
    alone = [_only(LandmarksEstimator(load_generic_hand()), frame) for frame in frames]
    for one, other in zip([hand for hands in together for hand in hands], alone, strict=True):
        assert (one.track_id, one.side) == (other.track_id, other.side)
        np.testing.assert_allclose(one.joints, other.joints, atol=1e-6)


def test_the_detectors_scale_does_not_move_the_hand_away(see_hand: SeeHand) -> None:
    depths = []
    for scale in (0.8, 1.0, 1.25):
        seen, truth = see_hand(4, world_scale=scale)
        depths.append(
            _only(LandmarksEstimator(load_generic_hand()), seen).joints[:, 2].mean() / truth.joints[:, 2].mean()
        )
    assert depths[0] > 0.85
    assert depths[1] == pytest.approx(1, abs=0.01)
    assert depths[2] < 1.15


def test_shape_settles_along_a_track(estimator: LandmarksEstimator, see_hand: SeeHand) -> None:
    betas = np.array([-1.0, 1.0, 1.0, -1.0, 0, 0, 0, 0, 0, 0])
    frames = [see_hand(3, betas=betas, world_noise=0.006, index=i)[0] for i in range(80)]
    found = np.array([hands[0].betas for hands in estimator.reconstruct(frames)])
    early, late = np.abs(np.diff(found, axis=0))[:10].mean(), np.abs(np.diff(found, axis=0))[-10:].mean()
    assert late < early / 3


def test_tracks_that_ended_are_forgotten(estimator: LandmarksEstimator, see_hand: SeeHand) -> None:
    empty = replace(see_hand(0)[0], boxes=())
    for index in range(3 * FORGET_AFTER):
        estimator.reconstruct([see_hand(0, track_id=index, index=index)[0]])
        assert estimator.tracks <= FORGET_AFTER + 1
    estimator.reconstruct([empty] * (FORGET_AFTER + 1))
    assert estimator.tracks == 0


def test_a_hand_without_a_track_is_passed_over(estimator: LandmarksEstimator, see_hand: SeeHand) -> None:
    assert estimator.reconstruct([see_hand(0, track_id=None)[0]]) == [()]
    assert estimator.left_out.total() == 0


GARBAGE = {
    "all landmarks in one point": {"joints_2d": np.full((21, 2), 100), "joints_world": np.zeros((21, 3))},
    "3D landmarks in one point": {"joints_world": np.full((21, 3), 0.05)},
    "2D landmarks in one point": {"joints_2d": np.full((21, 2), 300.0)},
    "far outside the picture": {
        "joints_2d": np.full((21, 2), 3e38, np.float32) * np.linspace(-1, 1, 42).reshape(21, 2)
    },
    "a hand of a kilometre": {"joints_world": np.random.default_rng(0).normal(0, 1000, (21, 3))},
    "a hand of a micrometre": {"joints_world": np.random.default_rng(0).normal(0, 1e-6, (21, 3))},
    "scattered pixels": {"joints_2d": np.random.default_rng(1).uniform(0, 480, (21, 2))},
    "infinitesimal": {"joints_2d": np.full((21, 2), 1e-38), "joints_world": np.full((21, 3), 1e-38)},
}


@pytest.mark.parametrize("changes", GARBAGE.values(), ids=GARBAGE)
def test_landmarks_that_are_no_hands_are_left_out_and_told_of_once(
    changes: dict[str, np.ndarray], estimator: LandmarksEstimator, see_hand: SeeHand, caplog: pytest.LogCaptureFixture
) -> None:
    good = see_hand(5, track_id=2)[0]
    bad = _swap(see_hand(0)[0], **changes)
    both = replace(good, boxes=bad.boxes + good.boxes)
    with caplog.at_level(logging.WARNING):
        results = estimator.reconstruct([both, both])
    assert [[hand.track_id for hand in hands] for hands in results] == [[2], [2]]
    assert estimator.left_out.total() == 2
    assert len(caplog.records) == 1
    # The good hand is what it would be without the bad one beside it.
    np.testing.assert_allclose(results[0][0].joints, _only(LandmarksEstimator(load_generic_hand()), good).joints)


@given(seed=seeds, pixels=st.floats(1e-3, 1e7), metres=st.floats(1e-6, 1e4), flat=st.booleans())
def test_random_landmarks_never_raise_and_never_give_what_is_not_finite(
    seed: int, pixels: float, metres: float, flat: bool
) -> None:
    random = np.random.default_rng(seed)
    world = random.normal(0, metres, (21, 3)) * (1, 1, 0 if flat else 1)
    joints_2d = random.normal(240, pixels, (21, 2))
    boxes = np.concatenate([joints_2d.min(0), joints_2d.max(0)])
    box = HandBox("left", 0.5, boxes, joints_2d, world, 1)  # type: ignore[arg-type]
    frame = _frame()
    for hand in LandmarksEstimator(load_generic_hand()).reconstruct([replace(frame, boxes=(box,))])[0]:
        assert (hand.joints[:, 2] > 0).all()  # the packet itself refuses what is not finite


def _frame() -> Detections:
    from stages.packets import Frame, FrameMeta

    meta = FrameMeta("hands", 0, 0.0, 1, 640, 480, Intrinsics.estimate(640, 480))
    return Detections(Frame(meta, np.zeros((480, 640, 3), np.uint8)), ())
