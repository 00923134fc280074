"""What hamba-s remembers of a hand along its track: its shape, and how its first estimates were wrong."""

import math
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import Side, exp_so3, log_so3

STEADIED_OVER: Final = 0.05
"""s: what the network corrects of a first estimate is steadied over this time. Over longer ones hands did not get
steadier on the test pattern, and over shorter ones less so."""

LARGEST_CHANGE: Final = 0.5
"""Radians: a joint whose correction changes by more from a frame to the next had another first estimate there, and is
taken as it is."""

_MEMORY: Final = 60  # frames of the running shape
_MOST_BETA: Final = 3.0


class HandTrack:
    """The memory of one track. A track that turns out to be of the other side begins anew."""

    def __init__(self, side: Side) -> None:
        self.side, self.last_seen = side, 0
        self._betas: Array | None = None
        self._count = 0
        self._correction: Array | None = None  # (16, 3) rotation vectors
        self._seconds = -math.inf

    def shape(self, betas: Array) -> Array:
        """Take in a frame's betas (10,), and return their running mean."""
        betas = np.clip(betas, -_MOST_BETA, _MOST_BETA)
        self._count = min(self._count + 1, _MEMORY)
        self._betas = betas if self._betas is None else self._betas + (betas - self._betas) / self._count
        return self._betas

    def steadied(self, first: Array, answer: Array, seconds: float) -> Array:
        """Take in a frame's rotations (16, 3, 3), the first estimate's and the network's, and return steadier ones.

        A hand may move at once, and its first estimate with it; how that is wrong changes slowly. So it is the
        difference that is averaged over time, and the answer does not lag behind the hand.
        """
        correction = log_so3(first.swapaxes(-1, -2) @ answer)
        passed = seconds - self._seconds
        if self._correction is not None and passed > 0:
            change = self._correction - correction
            same = np.linalg.norm(change, axis=-1, keepdims=True) < LARGEST_CHANGE
            correction = correction + math.exp(-passed / STEADIED_OVER) * same * change
        self._correction, self._seconds = correction, seconds
        steady: Array = first @ exp_so3(correction)
        return steady
