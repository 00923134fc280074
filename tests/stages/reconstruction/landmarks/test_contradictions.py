"""Landmarks whose 3D contradicts their 2D: the hand lies where it is seen, at its distance."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.hand import SIDES, Side, exp_so3, load_generic_hand
from hamba_core.metrics import mpjpe
from hamba_core.view import Intrinsics
from stages.common.proximity import hand_size
from stages.packets import Detections, Frame, FrameMeta, Hand, HandBox
from stages.reconstruction.landmarks import LandmarksEstimator
from stages.reconstruction.landmarks.fingers import Fingers

SeeHand = Callable[..., tuple[Detections, object]]
seeds = st.integers(0, 10_000)
sides = st.sampled_from(SIDES)


def with_world(detections: Detections, world: np.ndarray) -> Detections:
    (box,) = detections.boxes
    return replace(detections, boxes=(replace(box, joints_world=world.astype(np.float32)),))


def off_by(hand: Hand, detections: Detections) -> float:
    """Mean distance in the picture, as a share of the hand's size."""
    seen = detections.boxes[0].joints_2d
    return float(mpjpe(hand.joints_2d, seen).mean()) / hand_size(seen)


@given(seed=seeds, side=sides, degrees=st.floats(15, 70))
def test_a_hand_whose_3d_is_turned_away_is_shown_where_it_is_seen(
    seed: int, side: Side, degrees: float, see_hand: SeeHand
) -> None:
    seen, truth = see_hand(seed, side, world_noise=0.004, pixel_noise=1)
    axis = np.random.default_rng(seed).normal(size=3)
    turn = exp_so3(np.radians(degrees) * axis / np.linalg.norm(axis))
    turned = with_world(seen, seen.boxes[0].joints_world @ turn.T)
    hands = LandmarksEstimator(load_generic_hand()).reconstruct([turned])[0]
    assert len(hands) == 1
    assert off_by(hands[0], seen) < 0.1
    distance = hands[0].joints[:, 2].mean() / truth.joints[:, 2].mean()  # type: ignore[attr-defined]
    assert 0.6 < distance < 1.6


def test_along_a_track_a_contradiction_starts_from_the_hand_of_the_frame_before(see_hand: SeeHand) -> None:
    """One frame, after good ones, whose 3D is that of a hand turned right round."""
    moved = []
    for seed in range(40):
        seen, _ = see_hand(seed, SIDES[seed % 2], pixel_noise=0.5)
        bad = with_world(seen, seen.boxes[0].joints_world @ exp_so3(np.array([0, np.pi, 0])).T)
        (before,), now = LandmarksEstimator(load_generic_hand()).reconstruct([seen, bad])
        assert len(now) == 1
        assert off_by(now[0], seen) < 0.1
        moved.append(mpjpe(now[0].joints - now[0].joints.mean(0), before.joints - before.joints.mean(0)).mean())
    # Not all: the pictures of some hands from before and behind are alike.
    assert np.mean(np.array(moved) < 0.02) > 0.9, "m; a hand does not turn round in a thirtieth of a second"


def test_hands_after_contradictions_do_not_depend_on_how_frames_come_together(see_hand: SeeHand) -> None:
    turn = exp_so3(np.array([0, 2.0, 0]))
    frames = []
    for i in range(8):
        frame, _ = see_hand(i // 3, world_noise=0.004, pixel_noise=1, track_id=1 + i % 2, index=i)
        frames.append(with_world(frame, frame.boxes[0].joints_world @ turn.T) if i % 4 else frame)
    together = LandmarksEstimator(load_generic_hand()).reconstruct(frames)
    one_by_one = LandmarksEstimator(load_generic_hand())
    for frame, (expected,) in zip(frames, together, strict=True):
        ((hand,),) = one_by_one.reconstruct([frame])
        np.testing.assert_allclose(hand.joints, expected.joints, atol=1e-6)


def fist(turn: np.ndarray, side: Side = "right") -> tuple[Detections, np.ndarray]:
    """A fist, its thumb stretched out, half a metre away, as a detector sees it; its true joints (21, 3)."""
    model = load_generic_hand()
    fingers = Fingers(model, np.zeros((21, 3)))
    angles = np.zeros((1, 5, 3, 3))
    angles[0, 1:, :, 0] = np.array([1.4, 1.6, 1.0])
    angles[0, 0, 0, 1] = 0.5
    hand = model.pose(turn, fingers.hand_pose(angles)[0], np.zeros(10), np.array([0.02, 0.01, 0.5]), side)
    camera = Intrinsics.estimate(640, 480)
    pixels = camera.project(hand.joints).astype(np.float32)
    noise = np.random.default_rng(0).normal(0, 0.003, (21, 3))
    box = HandBox(
        side,
        0.95,
        np.concatenate([pixels.min(0), pixels.max(0)]),
        pixels,
        (hand.joints - hand.joints.mean(0) + noise).astype(np.float32),
        1,
    )
    meta = FrameMeta("fist", 0, 0.0, 1, 640, 480, camera)
    return Detections(Frame(meta, np.zeros((480, 640, 3), np.uint8)), (box,)), hand.joints


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("yaw", range(0, 360, 30))
@pytest.mark.parametrize("contradiction", [0, 40])
def test_a_turned_fist_with_the_thumb_up_keeps_its_size_and_its_thumb(side: Side, yaw: int, contradiction: int) -> None:
    upright = exp_so3(np.array([0, 0, np.pi / 2])) @ exp_so3(np.array([np.radians(yaw), 0, 0]))
    seen, truth = fist(upright, side)
    world = seen.boxes[0].joints_world @ exp_so3(np.array([0, np.radians(contradiction), 0])).T
    ((hand,),) = LandmarksEstimator(load_generic_hand()).reconstruct([with_world(seen, world)])
    assert abs(hand.joints[:, 2].mean() / truth[:, 2].mean() - 1) < (0.25 if contradiction else 0.1)
    tip = np.linalg.norm(hand.joints_2d[4] - seen.boxes[0].joints_2d[4]) / hand_size(seen.boxes[0].joints_2d)
    assert tip < (0.12 if contradiction else 0.03)
    assert mpjpe(hand.joints_2d, seen.boxes[0].joints_2d).mean() < 0.04 * hand_size(seen.boxes[0].joints_2d)
