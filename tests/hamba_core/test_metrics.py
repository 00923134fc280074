"""Errors of points, before and after Procrustes alignment."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.hand import exp_so3
from hamba_core.metrics import mpjpe, pa_mpjpe, procrustes_aligned


def _points(seed: int, count: int = 21) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, (count, 3))


@given(st.integers(0, 10_000), st.floats(0.01, 100))
def test_turning_scaling_and_moving_is_aligned_away(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    truth = _points(seed)
    moved = scale * truth @ exp_so3(random.normal(0, 2, 3)).T + random.normal(0, 1, 3)
    assert pa_mpjpe(moved, truth) < 1e-12


def test_a_mirrored_hand_is_not_aligned_away() -> None:
    truth = _points(1)
    assert pa_mpjpe(truth * (-1, 1, 1), truth) > 0.01


def test_no_other_similarity_comes_nearer() -> None:
    random = np.random.default_rng(2)
    truth = _points(3)
    aligned = procrustes_aligned(truth + random.normal(0, 0.01, truth.shape), truth)
    best = ((aligned - truth) ** 2).sum()
    for _ in range(50):
        nudged = (1 + random.normal(0, 0.01)) * aligned @ exp_so3(random.normal(0, 0.01, 3)).T
        assert ((nudged + random.normal(0, 1e-3, 3) - truth) ** 2).sum() > best


def test_frames_are_aligned_one_by_one() -> None:
    truth = np.stack([_points(seed) for seed in range(4)])
    joints = truth + np.random.default_rng(5).normal(0, 0.01, truth.shape)
    assert pa_mpjpe(joints, truth) == pytest.approx([pa_mpjpe(j, t) for j, t in zip(joints, truth, strict=True)])


def test_joints_in_one_point_are_aligned_to_the_centre() -> None:
    truth = _points(6)
    centre = truth.mean(0)
    assert procrustes_aligned(np.ones((21, 3)), truth) == pytest.approx(np.broadcast_to(centre, (21, 3)))


def test_mpjpe_is_the_mean_distance() -> None:
    truth = _points(7)
    assert mpjpe(truth + np.array([0.003, 0, 0.004]), truth) == pytest.approx(0.005)
