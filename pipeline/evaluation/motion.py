"""Motion measures tell how steady and how late one method's hands are, over all stretches in which it kept them."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hamba_core.arrays import Array, BoolArray
from hamba_core.motion_metrics import acceleration_errors, high_pass, jitter, jitter_errors, lag

SHORTEST: Final = 12
"""Frames: shorter stretches tell nothing of steadiness."""
WINDOW: Final = 11
"""Frames of the running mean that is taken off for the high-pass."""


@dataclass(frozen=True, eq=False)
class Stretch:
    """A hand of one method over frames without a gap."""

    rate: float  # frames/s
    joints: Array  # (F, 21, 3) m
    joints_2d: Array  # (F, 21, 2) px
    centroid: Array  # (F, 3) m, of the mesh where there is one, else of the joints
    truth: Array | None = None  # (F, 21, 3) m
    placed: bool = True  # whether joints are in the camera frame
    speed: Array | None = None  # (F,) m/s, the true one, mean over joints
    name: Hashable = None  # says which frames of which hand these are


@dataclass(frozen=True)
class Motion:
    """Means over all frames that count; NaN where there were none."""

    frames: int
    acceleration_error: float  # mm/s²; NaN without truth
    jitter: float  # mm/s³, third difference of the joints
    jitter_error: float  # mm/s³, third difference of what joints are off the truth; NaN without truth
    shape_jitter: float  # mm/s³, the same of the joints relative to their own mean
    jitter_2d: float  # px/frame³
    tremble: float  # mm, RMS of the centroid's high-pass
    tremble_2d: float  # px
    lag: float  # ms behind the truth; NaN without truth


def measure_motion(stretches: Sequence[Stretch], masks: Sequence[BoolArray] | None = None) -> Motion:
    """Measure steadiness over these stretches, or over those of their frames that `masks` (F,) choose."""
    if masks is None:
        masks = [np.ones(len(stretch.joints), bool) for stretch in stretches]
    kinds: dict[str, list[Array]] = {name: [] for name in Motion.__dataclass_fields__}
    against = moved = 0.0
    for stretch, mask in zip(stretches, masks, strict=True):
        joints, rate = stretch.joints, stretch.rate
        middle = joints.mean(1, keepdims=True)
        third = mask[1:-2] & mask[2:-1]
        kinds["shape_jitter"].append(1e3 * jitter(joints - middle, rate)[third])
        kinds["jitter_2d"].append(jitter(stretch.joints_2d, 1.0)[third])
        half = WINDOW // 2
        inner = mask[half : len(mask) - half]
        kinds["tremble_2d"].append((high_pass(stretch.joints_2d.mean(1), WINDOW)[inner] ** 2).sum(1))
        if stretch.placed:
            kinds["jitter"].append(1e3 * jitter(joints, rate)[third])
            kinds["tremble"].append(1e6 * (high_pass(stretch.centroid, WINDOW)[inner] ** 2).sum(1))
        if stretch.truth is None:
            continue
        if stretch.placed:
            kinds["acceleration_error"].append(1e3 * acceleration_errors(joints, stretch.truth, rate)[mask[1:-1]])
            kinds["jitter_error"].append(1e3 * jitter_errors(joints, stretch.truth, rate)[third])
        one, other = _delay_terms(stretch, mask)
        against, moved = against + one, moved + other
    means = {name: _mean(values) for name, values in kinds.items()}
    frames = int(sum(mask.sum() for mask in masks))
    return Motion(
        frames, means["acceleration_error"], means["jitter"], means["jitter_error"], means["shape_jitter"],
        means["jitter_2d"], float(np.sqrt(means["tremble"])), float(np.sqrt(means["tremble_2d"])),
        1e3 * against / moved if moved > 0 else float("nan"),
    )  # fmt: skip


def _delay_terms(stretch: Stretch, mask: BoolArray) -> tuple[float, float]:
    """Return two sums whose quotient is the delay, s: error against speed, by least squares.

    A hand that comes a time d late has the error -d v on the true path of velocity v. Errors that stay (a wrong shape,
    a wrong depth) are no delay: the mean over each run of frames is subtracted from both.
    """
    truth = stretch.truth
    if truth is None:
        return 0.0, 0.0
    joints = stretch.joints
    if not stretch.placed:
        joints, truth = joints - joints[:, :1], truth - truth[:, :1]
    error = (joints - truth)[1:-1].reshape(len(joints) - 2, -1)
    velocity = ((truth[2:] - truth[:-2]) * stretch.rate / 2).reshape(error.shape)
    against = moved = 0.0
    for run in _runs(mask[1:-1]):
        e, v = (x[run] - x[run].mean(0) for x in (error, velocity))
        against -= float((e * v).sum())
        moved += float((v * v).sum())
    return against, moved


def added_lag(late: Sequence[Stretch], reference: Sequence[Stretch]) -> float:
    """Return the milliseconds that the same stretches come after their references, by cross-correlation; NaN if still.

    Each stretch counts by its frames.
    """
    lags, weights = [], []
    for own, other in zip(late, reference, strict=True):
        seconds = lag(own.joints.reshape(len(own.joints), -1), other.joints.reshape(len(other.joints), -1), own.rate)
        if np.isfinite(seconds):
            lags.append(1e3 * seconds)
            weights.append(len(own.joints))
    return float(np.average(lags, weights=weights)) if lags else float("nan")


def _runs(mask: BoolArray, shortest: int = 5) -> Iterable[slice]:
    """Yield the stretches where a mask is true, unless they are too short."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [slice(a, b) for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True) if b - a >= shortest]


def _mean(values: Sequence[Array]) -> float:
    flat = np.concatenate(values) if values else np.empty(0)
    return float(flat.mean()) if len(flat) else float("nan")
