"""Filters hold a value back as little as they can while it trembles: of vectors, and of rotations.

They have four parts, each for what the others cannot do. Two successive frames' mean takes out what changes from frame
to frame, and costs half a frame. A low-pass whose cutoff rises with speed (Casiez, Roussel and Vogel, "1 Euro filter",
CHI 2012) calms a hand at rest and lets a fast one go. A damped trend (Gardner and McKenzie, "Forecasting trends in time
series", 1985), with the gain that is best for constant velocity (Kalata, "The tracking index", 1984), makes up for the
low-pass's lag, and by looking ahead for the mean's.
"""

from dataclasses import dataclass
from math import exp, tau
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import exp_so3, log_so3, nearest_rotation

_SPEED_CUTOFF: Final = 3.0  # Hz, of the speeds
_MEAN_STEP: Final = 0.04  # s; over longer steps the mean counts less, so that it is never later than half of this


@dataclass(frozen=True)
class Tuning:
    """How one quantity's filter is set, at strength 1."""

    cutoff: float  # Hz, at rest
    slope: float  # Hz for each unit of speed
    mean: float = 0.0  # what the frame before counts in the mean, 0 to 1/2
    memory: float = 0.0  # s, time constant by which the trend is damped; 0 is none


class VectorFilter:
    """The filter of a vector (n,), and what filters of other quantities share.

    `tunings` are one, or two: of a change's part along an axis that `step` is told, and of what is left of it.
    """

    def __init__(self, value: AnyFloats, tunings: tuple[Tuning, ...], strength: float) -> None:
        self._value: Array = value.astype(np.float64)
        self._last = self._value  # as it came, not filtered
        self._tunings, self._strength = tunings, strength
        self._speed = self._trend = self._change(self._value, self._value)  # of the units a second
        self.lag = 0.0  # s, of motion that is slow for it, in the last step

    def distance(self, new: AnyFloats) -> float:
        """Return how far a new value is from the filtered one."""
        return float(np.linalg.norm(self._change(self._value, new.astype(np.float64))))

    @property
    def speed(self) -> float:
        """The speed that it sees."""
        return float(np.linalg.norm(self._speed))

    def step(self, new: AnyFloats, seconds: float, axis: Array | None = None) -> Array:
        """Return the filtered value, `seconds` after the last; `axis` is of length 1, for each of the rotations."""
        raw: Array = new.astype(np.float64)
        kept = [exp(-seconds / t.memory) if t.memory else 0.0 for t in self._tunings]
        trends = [keep * part for keep, part in zip(kept, _parts(self._trend, axis), strict=True)]
        expected = self._moved(self._value, seconds * _sum(trends))
        fresh, off, ahead = (_parts(self._change(old, raw), axis) for old in (self._last, self._value, expected))
        speeds = _parts(self._speed, axis)
        moves, looks = [], []
        for n, (tuning, keep) in enumerate(zip(self._tunings, kept, strict=True)):
            mean = tuning.mean * min(self._strength, 1.0, _MEAN_STEP / seconds)
            back = mean * fresh[n]  # from the raw value to the mean with the one before
            speeds[n] = speeds[n] + _gain(_SPEED_CUTOFF, seconds) * ((off[n] - back) / seconds - speeds[n])
            cutoff = (tuning.cutoff + tuning.slope * np.linalg.norm(speeds[n], axis=-1, keepdims=True)) / self._strength
            gain = _gain(cutoff, seconds)
            follow = 2 * (2 - gain) - 4 * np.sqrt(1 - gain)  # the steady Kalman filter's, for this gain
            moves.append(gain * (ahead[n] - back))
            trends[n] = trends[n] + follow * (ahead[n] - back) / seconds
            looks.append(keep * mean * seconds * trends[n])
            # How far the low-pass with its trend stays behind a steady motion, and the mean; less what it looks ahead.
            behind = (1 - gain) / (gain + keep * follow / (1 - keep))
            self.lag = seconds * float(np.max(behind) + mean - keep * mean)
        self._last, self._speed, self._trend = raw, _sum(speeds), _sum(trends)
        self._value = self._moved(expected, _sum(moves))
        return self._moved(self._value, _sum(looks))

    def settle(self, value: Array) -> None:
        """Go on from this value, without a trend."""
        self._value = value
        self._trend = np.zeros_like(self._trend)

    def _change(self, old: Array, new: Array) -> Array:
        """Return what takes the old value to the new one."""
        return new - old

    def _moved(self, value: Array, change: Array) -> Array:
        return value + change


class RotationFilter(VectorFilter):
    """The filter of rotations (..., 3, 3): changes are rotation vectors (..., 3) in the frame that they turn into."""

    def __init__(self, value: AnyFloats, tunings: tuple[Tuning, ...], strength: float) -> None:
        super().__init__(nearest_rotation(value), tunings, strength)
        self._before = self._given = self._value

    def step(self, new: AnyFloats, seconds: float, axis: Array | None = None) -> Array:
        self._before = self._given
        self._given = super().step(new, seconds, axis)
        return self._given

    def held_back(self, most: float) -> Array | None:
        """Return what `step` gave, turned by `most` radians since before; None if it is no more."""
        turn = self._change(self._before, self._given)
        angle = float(np.linalg.norm(turn))
        return self._moved(self._before, turn * (most / angle)) if angle > most else None

    def towards(self, new: AnyFloats, most: float) -> Array:
        """Return the value before `step`, turned towards a new one by `most` radians, or all the way if it is less."""
        turn = self._change(self._before, new.astype(np.float64))
        angle = float(np.linalg.norm(turn))
        return self._moved(self._before, turn * min(1.0, most / max(angle, 1e-12)))

    def settle(self, value: Array) -> None:
        super().settle(value)
        self._given = value

    def taken_along(self, new: AnyFloats, most: float) -> Array:
        """Return what `step` gave; rotations more than `most` radians from what came are taken along to that distance.

        What goes beyond it was a jump: it says nothing of where they go on to, and leaves them without a trend.
        """
        raw: Array = new.astype(np.float64)
        behind = self._change(raw, self._given)
        angle = np.linalg.norm(behind, axis=-1, keepdims=True)
        far = angle > most
        if far.any():
            nearer = self._moved(raw, behind * (most / np.maximum(angle, most)))
            self._value, self._given = (np.where(far[..., None], nearer, old) for old in (self._value, self._given))
            self._trend = np.where(far, 0.0, self._trend)
        return self._given

    def _change(self, old: Array, new: Array) -> Array:
        return log_so3(new @ np.swapaxes(old, -1, -2))

    def _moved(self, value: Array, change: Array) -> Array:
        return exp_so3(change) @ value


def _parts(change: Array, axis: Array | None) -> list[Array]:
    """Return a change's part along the axis and what is left of it, or without an axis the change alone."""
    if axis is None:
        return [change]
    along = (change * axis).sum(-1, keepdims=True) * axis
    return [along, change - along]


def _sum(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def _gain(cutoff: Array | float, seconds: float) -> Array | float:
    """Return how far a first-order low-pass of this cutoff, Hz, goes towards a new value in this time: 0 to 1."""
    return 1 / (1 + 1 / (tau * cutoff * seconds))
