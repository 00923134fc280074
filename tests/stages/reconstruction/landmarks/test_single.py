"""Hands fitted each by itself."""

import numpy as np

from hamba_core.hand import exp_so3, load_generic_hand
from hamba_core.metrics import pa_mpjpe
from stages.reconstruction.landmarks import SingleFit, landmark_offsets

MODEL = load_generic_hand()


def bent(random: np.random.Generator) -> np.ndarray:
    angles = random.uniform(0.1, 0.7, 15)
    return np.stack([exp_so3(angle * axis) for angle, axis in zip(angles, MODEL.flexion_axes, strict=True)])


def test_a_pose_that_agrees_with_the_landmarks_seen_comes_back() -> None:
    random, fit = np.random.default_rng(0), SingleFit(MODEL)
    rotations = np.stack([np.concatenate([exp_so3(random.normal(0, 1, 3))[None], bent(random)]) for _ in range(3)])
    betas, wrist = random.normal(0, 0.5, (3, 10)), np.array([[0.05, -0.1, 0.6], [0, 0, 0.4], [-0.1, 0.1, 1.1]])
    joints = MODEL.joints(rotations[:, 0], rotations[:, 1:], betas, np.zeros((3, 3)))
    joints = joints - joints[:, :1] + wrist[:, None]
    # What a detector sees is beside the joints by the offsets, turned with their bones.
    seen = joints + fit._turned_offsets(rotations)
    found = fit.to_pose(seen[..., :2] / seen[..., 2:], rotations, joints, betas)
    np.testing.assert_allclose(found.wrist, wrist, atol=0.004)
    posed = MODEL.joints(found.rotations[:, 0], found.rotations[:, 1:], betas, np.zeros((3, 3)))
    assert pa_mpjpe(posed, joints).max() < 0.002


def test_offsets_of_an_unbent_hand_are_the_measured_ones() -> None:
    straight = np.tile(np.eye(3), (1, 16, 1, 1))
    np.testing.assert_allclose(SingleFit(MODEL)._turned_offsets(straight)[0], landmark_offsets(MODEL))


def test_landmarks_of_any_scale_give_the_same_hand() -> None:
    rest = MODEL.rest_joints_21(np.zeros(10)) + landmark_offsets(MODEL)
    turn = exp_so3(np.array([np.pi, 0, 0]))
    points = (rest - rest[0]) @ turn.T + (0, 0, 0.5)
    rays = (points[:, :2] / points[:, 2:])[None]
    fit = SingleFit(MODEL)
    near, far = fit.to_landmarks(rays, points[None]), fit.to_landmarks(rays, 1.3 * points[None])
    assert near.ray_error[0] < 0.01
    np.testing.assert_allclose(near.rotations, far.rotations, atol=0.05)
