"""Steadiness and lag of sequences whose answer is known."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.motion_metrics import acceleration_errors, accelerations, high_pass, jitter, jitter_errors, lag

RATE = 30.0
TIMES = np.arange(150) / RATE


def _path(times: np.ndarray = TIMES) -> np.ndarray:
    """Two points (F, 2, 3) on smooth paths."""
    x = 0.1 * np.sin(2 * np.pi * 0.8 * times) + 0.05 * np.sin(2 * np.pi * 1.7 * times + 1)
    y = 0.08 * np.sin(2 * np.pi * 1.1 * times + 2)
    one = np.stack([x, y, 0.5 + 0.1 * x], 1)
    return np.stack([one, one + 0.02 * y[:, None]], 1)


def test_constant_acceleration_and_jerk_are_found_exactly() -> None:
    fall = np.zeros((20, 1, 3))
    fall[:, 0, 1] = 9.81 / 2 * TIMES[:20] ** 2
    assert accelerations(fall, RATE)[:, 0, 1] == pytest.approx(np.full(18, 9.81))
    assert jitter(fall, RATE) == pytest.approx(np.zeros(17), abs=1e-6)
    cubic = np.zeros((20, 1, 3))
    cubic[:, 0, 0] = 2 * TIMES[:20] ** 3
    assert jitter(cubic, RATE) == pytest.approx(np.full(17, 12.0))


def test_a_constant_offset_is_no_acceleration_error() -> None:
    path = _path()
    assert acceleration_errors(path + 0.01, path, RATE) == pytest.approx(np.zeros(148), abs=1e-9)


def test_the_jitter_of_white_noise_is_what_theory_says() -> None:
    """The third difference of noise has the variance 20 (1 + 9 + 9 + 1) times the noise's."""
    noise = np.random.default_rng(0).normal(0, 0.001, (20_000, 1, 3))
    mean_length = np.sqrt(20) * 0.001 * np.sqrt(8 / np.pi)  # of a vector of three such numbers
    assert jitter(noise, RATE).mean() == pytest.approx(mean_length * RATE**3, rel=0.02)


def test_the_jitter_of_the_error_is_without_the_motions_own() -> None:
    path, noise = _path(), np.random.default_rng(0).normal(0, 0.001, (150, 2, 3))
    assert jitter(path, RATE).mean() > 10
    assert jitter_errors(path + 0.01, path, RATE) == pytest.approx(np.zeros(147), abs=1e-6)
    assert jitter_errors(path + noise, path, RATE) == pytest.approx(jitter(noise, RATE))
    assert jitter_errors(_path(TIMES - 0.02), path, RATE).mean() > 1  # what comes late errs by its motion


def test_what_is_steady_or_moves_evenly_passes_no_high_pass() -> None:
    even = np.linspace(0, 1, 40)[:, None] * np.array([1.0, 2.0])
    assert high_pass(even) == pytest.approx(np.zeros((30, 2)), abs=1e-12)
    noise = np.random.default_rng(1).normal(0, 1, (50_000, 1))
    assert np.sqrt((high_pass(noise) ** 2).mean()) == pytest.approx(np.sqrt(10 / 11), rel=0.02)


def test_sequences_shorter_than_the_window_have_no_high_pass() -> None:
    assert high_pass(np.zeros((10, 2))).shape == (0, 2)


@given(st.floats(-0.1, 0.15), st.integers(0, 100))
def test_the_lag_is_found_between_frames_and_under_noise(delay: float, seed: int) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.0005, (2, 150, 6))
    late = _path(TIMES - delay).reshape(150, -1) + noise[0]
    assert lag(late, _path().reshape(150, -1) + noise[1], RATE) == pytest.approx(delay, abs=0.004)


def test_what_does_not_move_has_no_lag() -> None:
    assert np.isnan(lag(np.ones((150, 3)), np.ones((150, 3)), RATE))
    assert np.isnan(lag(_path()[:10].reshape(10, -1), _path()[:10].reshape(10, -1), RATE))
