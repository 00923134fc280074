"""The memory of a track: steadier corrections that do not lag, and a shape that settles."""

import numpy as np
import pytest

from hamba_core.arrays import Array
from hamba_core.hand import exp_so3, log_so3
from stages.reconstruction.small_hamba.track import LARGEST_CHANGE, HandTrack


def angles(first: Array, second: Array) -> Array:
    """Radians between rotations."""
    between: Array = np.linalg.norm(log_so3(first.swapaxes(-1, -2) @ second), axis=-1)
    return between


def moving(frames: int) -> Array:
    """A hand's rotations (frames, 16, 3, 3) that turns fast."""
    steps = np.random.default_rng(0).normal(0, 0.3, (frames, 16, 3))
    return exp_so3(np.cumsum(steps, 0))


def test_a_hand_whose_first_estimates_are_wrong_in_one_way_is_corrected_without_a_lag() -> None:
    track, wrong = HandTrack("right"), exp_so3(np.random.default_rng(1).normal(0, 0.1, (16, 3)))
    for number, first in enumerate(moving(20)):
        assert angles(track.steadied(first, first @ wrong, number / 30), first @ wrong).max() < 1e-7


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_what_trembles_in_the_corrections_is_less_in_the_answers(rate: int) -> None:
    track, random = HandTrack("left"), np.random.default_rng(2)
    given, answered = [], []
    for number, first in enumerate(moving(300)):
        answer = first @ exp_so3(0.2 + random.normal(0, 0.02, (16, 3)))
        steady = track.steadied(first, answer, number / rate)
        given.append(log_so3(first.swapaxes(-1, -2) @ answer))
        answered.append(log_so3(first.swapaxes(-1, -2) @ steady))
    kept = np.exp(-1 / rate / 0.05)  # of a mean that forgets so fast, noise has this share of its variance
    ratio = np.var(answered, axis=0).mean() / np.var(given, axis=0).mean()
    assert ratio == pytest.approx((1 - kept) / (1 + kept), rel=0.15)
    assert np.mean(answered) == pytest.approx(np.mean(given), abs=1e-3)


def test_a_first_estimate_that_jumps_is_followed_at_once_and_so_is_a_hand_after_a_gap() -> None:
    track, first = HandTrack("right"), moving(2)
    small, large = (exp_so3(np.full((16, 3), size)) for size in (0.05, 0.05 + LARGEST_CHANGE))
    track.steadied(first[0], first[0] @ small, 0.0)
    assert angles(track.steadied(first[1], first[1] @ large, 1 / 30), first[1] @ large).max() < 1e-7
    assert angles(track.steadied(first[0], first[0] @ small, 90.0), first[0] @ small).max() < 1e-7


def test_the_shape_is_the_mean_of_what_was_seen() -> None:
    track, random = HandTrack("right"), np.random.default_rng(3)
    seen = random.normal(0, 1, (30, 10)).clip(-3, 3)
    shapes = [track.shape(betas) for betas in seen]
    for number in (0, 4, 29):
        np.testing.assert_allclose(shapes[number], seen[: number + 1].mean(0), atol=1e-12)
    assert np.abs(HandTrack("right").shape(np.full(10, 50.0))).max() == 3
