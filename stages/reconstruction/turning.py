"""How fast a hand can turn: what would turn faster than that between two frames was seen wrongly in one of them.

In motion blur, and where palm and back look alike, the detector's 3D is inside out for a frame or two while its 2D is
right. A hand that was where it is a moment ago has hardly turned since.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from math import cos, hypot, pi
from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import AnyFloats

_AT_ONCE: Final = 0.5  # radians, of noise
_FASTEST: Final = 15.0  # radians/s
_LONGEST_STEP: Final = 0.12  # s; after longer ones a hand may be turned anyhow
_FARTHEST: Final = 0.6  # hand sizes that it may have moved meanwhile: one that is farther may be another hand
_LONGEST_DOUBT: Final = 0.15  # s, after which what is seen again and again is believed
_CALM: Final = 3  # frames in a row without doubt that a hand is known after


class Sight(NamedTuple):
    """How a hand was seen."""

    pts: float  # s
    orient: AnyFloats  # (3, 3)
    middle: tuple[float, float]  # of its joints, rays
    size: float  # rays

    @classmethod
    def of(cls, pts: float, orient: AnyFloats, rays: AnyFloats) -> "Sight":
        """Return the sight of a hand whose joints are seen along rays (21, 2)."""
        # Python's numbers: for so few of them NumPy is slower.
        (left, top), (right, bottom) = rays.min(0).tolist(), rays.max(0).tolist()
        return cls(pts, orient, ((left + right) / 2, (top + bottom) / 2), hypot(right - left, bottom - top))


@dataclass
class _Memory:
    sight: Sight
    calm: int = 0
    doubted_since: float | None = None
    held: bool = False


class Turning:
    """It remembers how each track's hand was turned."""

    def __init__(self) -> None:
        self._memories: dict[Hashable, _Memory] = {}

    def doubts(self, key: Hashable, sight: Sight) -> bool:
        """Return whether this hand would have turned faster than it can, and has not been doubted for long."""
        memory = self._memories.get(key)
        if memory is None or memory.calm < _CALM or not self.goes_on(key, sight):
            return False
        if not self.is_too_fast(key, sight):
            memory.doubted_since = None
            return False
        if memory.doubted_since is None:
            memory.doubted_since = sight.pts
        return sight.pts - memory.doubted_since <= _LONGEST_DOUBT

    def goes_on(self, key: Hashable, sight: Sight) -> bool:
        """Return whether this track's hand was seen a moment ago, and near."""
        memory = self._memories.get(key)
        if memory is None or not 0 < sight.pts - memory.sight.pts <= _LONGEST_STEP:
            return False
        (x, y), (before_x, before_y) = sight.middle, memory.sight.middle
        moved = hypot(x - before_x, y - before_y)
        return moved <= _FARTHEST * max(sight.size, memory.sight.size)

    def is_too_fast(self, key: Hashable, sight: Sight) -> bool:
        """Return whether no hand turns so fast from how this track's was given last."""
        before = self._memories[key].sight
        cosine = (float(np.vdot(before.orient, sight.orient)) - 1) / 2
        most = _AT_ONCE + _FASTEST * (sight.pts - before.pts)
        return most < pi and cosine < cos(most)

    def take(self, key: Hashable, sight: Sight, *, held: bool) -> None:
        """Remember a hand as it is given; `held` says that it was doubted, and something else is given for it."""
        memory = self._memories.get(key)
        if memory is None or not 0 < sight.pts - memory.sight.pts <= _LONGEST_STEP:
            self._memories[key] = _Memory(sight)
            return
        memory.sight, memory.held = sight, held
        if not held:
            jumped = memory.doubted_since is not None
            memory.calm, memory.doubted_since = 0 if jumped else memory.calm + 1, None

    def is_held(self, key: Hashable) -> bool:
        """Return whether something else was given for this track's hand when it was seen last."""
        memory = self._memories.get(key)
        return memory is not None and memory.held

    def forget(self, key: Hashable) -> None:
        """Forget a track."""
        self._memories.pop(key, None)

    def clear(self) -> None:
        """Forget all."""
        self._memories.clear()
