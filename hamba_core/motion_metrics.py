"""How steady points are over time, and how late: measures of sequences at a constant rate.

A sequence is (frames, ...) of points (..., N, 3), metres, `rate` frames/s. Gaps are the caller's to cut: every function
takes one unbroken run of frames, and gives nothing of what would need frames before its first or after its last.
"""

import numpy as np

from hamba_core.arrays import AnyFloats, Array


def accelerations(points: AnyFloats, rate: float) -> Array:
    """Return second differences (F - 2, N, 3), m/s², of points (F, N, 3)."""
    result: Array = np.diff(np.asarray(points, np.float64), 2, axis=0) * rate**2
    return result


def acceleration_errors(points: AnyFloats, truth: AnyFloats, rate: float) -> Array:
    """Return how far (F - 2,) accelerations are from the true ones, mean over points, m/s².

    The "acceleration error" of video reconstruction (Kanazawa et al., "Learning 3D human dynamics from video",
    CVPR 2019), there in mm/s² or mm/frame².
    """
    apart = accelerations(points, rate) - accelerations(truth, rate)
    result: Array = np.linalg.norm(apart, axis=-1).mean(-1)
    return result


def jitter(points: AnyFloats, rate: float) -> Array:
    """Return the length (F - 3,) of the third difference, mean over points, m/s³.

    Yi et al., "TransPose", SIGGRAPH 2021, measure jitter as the mean jerk (Flash and Hogan, "The coordination of arm
    movements", 1985). It grows with the rate, so compare at one rate.
    """
    result: Array = np.linalg.norm(np.diff(np.asarray(points, np.float64), 3, axis=0) * rate**3, axis=-1).mean(-1)
    return result


def jitter_errors(points: AnyFloats, truth: AnyFloats, rate: float) -> Array:
    """Return the jitter (F - 3,) of what points are off the true ones, mean over points, m/s³.

    What moves fast has a third difference of its own, which is no fault: here it is subtracted before the length is
    taken. What comes late or runs past a turn counts besides trembling.
    """
    return jitter(np.asarray(points, np.float64) - truth, rate)


def high_pass(values: AnyFloats, window: int = 11) -> Array:
    """Return what (F - window + 1, ...) is left of values (F, ...) without their running mean over `window` frames.

    `window` is odd. What is left is the tremble around the path; drift and slow motion are taken out."""
    values = np.asarray(values, np.float64)
    if len(values) < window:
        return np.empty((0, *values.shape[1:]))
    total = np.cumsum(np.concatenate([np.zeros_like(values[:1]), values]), 0)
    mean = (total[window:] - total[:-window]) / window
    half = window // 2
    rest: Array = values[half : half + len(mean)] - mean
    return rest


def lag(late: AnyFloats, reference: AnyFloats, rate: float, *, most: float = 0.25) -> float:
    """Return the seconds by which a sequence (F, n) comes after its reference (F, n), or NaN if one is still.

    It is found by cross-correlation. Both are differentiated over three frames with the same symmetric window, so that
    neither offsets nor trembling count, and correlated at every shift up to `most` seconds; the peak is read between
    frames by a parabola. A negative lag means that the sequence runs ahead.
    """
    if len(late) < 2 * int(most * rate) + 8:
        return float("nan")
    own, other = (_velocities(np.asarray(x, np.float64)) for x in (late, reference))
    frames = int(np.ceil(most * rate))
    shifts = np.arange(-frames, frames + 1)
    scores = np.array([_correlation(own, other, int(shift)) for shift in shifts])
    if not np.isfinite(scores).any() or np.nanmax(scores) <= 0:
        return float("nan")
    best = int(np.nanargmax(scores))
    offset = 0.0
    if 0 < best < len(scores) - 1:
        before, at, after = scores[best - 1 : best + 2]
        bend = before - 2 * at + after
        offset = float(0.5 * (before - after) / bend) if bend < 0 else 0.0
    return float((shifts[best] + offset) / rate)


def _velocities(values: Array) -> Array:
    """Return differences (F - 4, n) over four frames, weighted so that trembling from frame to frame cancels."""
    smooth = (values[:-2] + 2 * values[1:-1] + values[2:]) / 4
    return smooth[2:] - smooth[:-2]


def _correlation(own: Array, other: Array, shift: int) -> float:
    """Return correlation of own[t] with other[t - shift] over the frames that both have."""
    if shift >= 0:
        a, b = own[shift:], other[: len(other) - shift]
    else:
        a, b = own[:shift], other[-shift:]
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / size) if size > 0 else float("nan")
