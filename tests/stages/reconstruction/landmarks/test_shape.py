"""Shape from bone lengths."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.hand import exp_so3, load_generic_hand
from stages.reconstruction.landmarks.shape import RunningLengths, ShapeFromLengths, span_lengths

MODEL = load_generic_hand()
NO_OFFSETS = np.zeros((21, 3))


def test_the_mean_hand_has_zero_betas() -> None:
    shape = ShapeFromLengths(MODEL, NO_OFFSETS)
    assert np.abs(shape.betas(RunningLengths(shape.mean_lengths))).max() < 1e-9


@given(seed=st.integers(0, 10_000))
def test_lengths_do_not_depend_on_place_or_direction(seed: int) -> None:
    random = np.random.default_rng(seed)
    joints = MODEL.rest_joints_21(random.normal(0, 1, 10))
    moved = joints @ exp_so3(random.normal(0, 1, 3)).T + random.normal(0, 1, 3)
    np.testing.assert_allclose(span_lengths(moved), span_lengths(joints), atol=1e-12)


@given(seed=st.integers(0, 10_000))
def test_betas_bring_the_proportions_nearer_to_those_seen(seed: int) -> None:
    shape = ShapeFromLengths(MODEL, NO_OFFSETS)
    seen = span_lengths(MODEL.rest_joints_21(np.random.default_rng(seed).normal(0, 1, 10)))
    fitted = span_lengths(MODEL.rest_joints_21(shape.betas(RunningLengths(seen, frames=100))))

    def misfit(lengths: np.ndarray) -> float:
        return float(np.linalg.norm(lengths / lengths.sum() - seen / seen.sum()))

    assert misfit(fitted) <= misfit(shape.mean_lengths) + 1e-4


def test_a_wrong_scale_is_mostly_taken_for_the_detectors() -> None:
    shape = ShapeFromLengths(MODEL, NO_OFFSETS)
    betas = shape.betas(RunningLengths(1.2 * shape.mean_lengths, frames=100))
    fitted = span_lengths(MODEL.rest_joints_21(betas))
    assert 1.02 < fitted.sum() / shape.mean_lengths.sum() < 1.15


def test_betas_stay_plausible_whatever_the_lengths() -> None:
    shape = ShapeFromLengths(MODEL, NO_OFFSETS)
    lengths = np.random.default_rng(1).uniform(0.3, 3, (200, 24)) * shape.mean_lengths
    betas = np.array([shape.betas(RunningLengths(each)) for each in lengths])
    assert np.abs(betas).max() <= 3


def test_the_mean_settles_along_a_track_and_shrugs_off_an_outlier() -> None:
    shape = ShapeFromLengths(MODEL, NO_OFFSETS)
    random = np.random.default_rng(2)
    true = shape.mean_lengths
    running = RunningLengths(true + random.normal(0, shape.NOISE, 24))
    first = np.abs(running.lengths - true).mean()
    for _ in range(99):
        running.add(true + random.normal(0, shape.NOISE, 24), shape.NOISE)
    settled = running.lengths
    assert np.abs(settled - true).mean() < first / 4
    running.add(true + 10, shape.NOISE)
    assert np.abs(running.lengths - settled).max() == pytest.approx(shape.NOISE / 101)
