"""The fit itself: right hands, landmarks that lie off the joints."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.hand import load_generic_hand
from hamba_core.hand.rotations import angle_between, exp_so3
from stages.reconstruction.landmarks.fingers import Fingers
from stages.reconstruction.landmarks.fit import Fit, LandmarkFit, Landmarks
from stages.reconstruction.landmarks.placement import translation_from_rays

Array = np.ndarray
RandomAngles = Callable[[np.random.Generator, int], Array]

OFFSETS: Array = np.random.default_rng(4).normal(0, 0.006, (21, 3))
FINGERS = Fingers(load_generic_hand(), OFFSETS)
REST: Array = load_generic_hand().rest_joints_21(np.zeros(10)) - load_generic_hand().rest_joints_21(np.zeros(10))[0]


class Truth(NamedTuple):
    orient: Array  # (B, 3, 3)
    angles: Array  # (B, 5, 3, 3)
    wrist: Array  # (B, 3)
    points: Array  # (B, 21, 3) where landmarks are, camera frame


@pytest.fixture(scope="module")
def draw(random_angles: RandomAngles) -> Callable[[int, int], Truth]:
    """draw(seed, count): hands before the camera."""

    def make(seed: int, count: int) -> Truth:
        random = np.random.default_rng(seed)
        angles = random_angles(random, count)
        chains = REST[None, 1:].reshape(1, 5, 4, 3)
        landmarks = np.empty((count, 21, 3))
        landmarks[:, 0] = OFFSETS[0]
        landmarks[:, 1:] = FINGERS.pose(angles, chains[:, :, 0], np.diff(chains, axis=2)).landmarks.reshape(-1, 20, 3)
        orient = exp_so3(random.normal(0, 1.5, (count, 3)))
        wrist = random.uniform((-0.2, -0.1, 0.3), (0.2, 0.1, 1), (count, 3))
        return Truth(orient, angles, wrist, landmarks @ orient.swapaxes(1, 2) + wrist[:, None])

    return make


def _seen(truth: Truth) -> Landmarks:
    return Landmarks(truth.points[..., :2] / truth.points[..., 2:], truth.points - truth.points.mean(1, keepdims=True))


def _fit(landmarks: Landmarks) -> Fit:
    return LandmarkFit(FINGERS, OFFSETS).fit(landmarks, np.broadcast_to(REST, (len(landmarks.rays), 21, 3)))


@given(seed=st.integers(0, 10_000))
def test_landmarks_off_the_joints_give_back_the_hand(seed: int, draw: Callable[[int, int], Truth]) -> None:
    truth = draw(seed, 3)
    fit = _fit(_seen(truth))
    assert np.degrees(angle_between(fit.global_orient, truth.orient)).max() < 3
    assert np.linalg.norm(fit.wrist - truth.wrist, axis=1).max() < 0.02
    assert np.degrees(np.abs(fit.angles - truth.angles)[..., 0].mean()) < 5  # flexion
    assert fit.ray_error.max() < 0.005


def test_one_landmark_far_off_hardly_moves_the_hand(draw: Callable[[int, int], Truth]) -> None:
    truth = draw(1, 20)
    good = _seen(truth)
    bad = Landmarks(good.rays.copy(), good.points.copy())
    bad.rays[:, 8] += 0.3
    bad.points[:, 8] += 0.15
    moved = np.linalg.norm(_fit(bad).wrist - _fit(good).wrist, axis=1)
    pulled = np.linalg.norm(
        translation_from_rays(good.points, bad.rays) - translation_from_rays(good.points, good.rays), axis=1
    )
    assert np.median(moved) < 0.2 * np.median(pulled)


def test_a_fit_does_not_depend_on_the_hands_beside_it(draw: Callable[[int, int], Truth]) -> None:
    landmarks = _seen(draw(2, 6))
    together = _fit(landmarks)
    for i in range(6):
        alone = _fit(Landmarks(*(array[i : i + 1] for array in landmarks)))
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_allclose(one[0], all_of_them[i], atol=1e-9)


@given(seed=st.integers(0, 10_000))
def test_translation_from_exact_rays_is_exact(seed: int) -> None:
    random = np.random.default_rng(seed)
    points = random.normal(0, 0.05, (4, 21, 3))
    translation = random.uniform((-0.5, -0.5, 0.4), (0.5, 0.5, 2), (4, 3))
    placed = points + translation[:, None]
    found = translation_from_rays(points, placed[..., :2] / placed[..., 2:])
    np.testing.assert_allclose(found, translation, atol=1e-9)
