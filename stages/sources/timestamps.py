"""A timeline makes presentation times that only rise from whatever a container or a stream says."""

from math import isfinite
from typing import Final

CLOSE: Final = 1e-6
"""Seconds within which two times are the same: containers round theirs."""

JUMP = 1.0
"""Seconds back in time from which a stamp is a new beginning rather than a slip."""

_SLIPS = 3
"""Stamps in a row behind the last picture, each later than the one before it, that are a new beginning too."""

_NUDGE = 1e-3
_DEFAULT_STEP = 1 / 30


class Timeline:
    """It turns a source's time stamps into seconds from its first picture, each later than the one before.

    A stamp that is missing, or the same as the one before, is filled in from the rate. One that slips back is put just
    after its predecessor; one that jumps back by more than `JUMP` seconds begins anew where the pictures before it
    ended, and those after it keep their distances. So do several that slip back and rise from there, as where short
    pieces, each with a clock of its own, were put together. Missing stamps are counted in `filled`, the others in
    `repaired`.
    """

    def __init__(self, rate: float | None = None) -> None:
        self._step = 1 / rate if rate else _DEFAULT_STEP
        self._offset: float | None = None  # added to a stamp to get seconds from the first picture
        self._restart_at: float | None = None
        self._stamp: float | None = None  # the newest one, as given
        self._slips = 0  # so many in a row slipped back and rose from there
        self.last: float | None = None
        self.repaired = 0
        self.filled = 0

    def restart(self, at: float) -> None:
        """Begin another clock: the next stamp is put at `at` seconds, or just after the last picture."""
        self._restart_at = at

    def place(self, stamp: float | None) -> float:
        """Return seconds from the first picture for the picture with this stamp in seconds, or with none."""
        if stamp is not None and not isfinite(stamp):
            stamp = None
        expected = 0.0 if self.last is None else self.last + self._step
        if self._restart_at is not None:
            expected = self._restart_at if self.last is None else max(self._restart_at, self.last + _NUDGE)
            self._restart_at = self._offset = self._stamp = None
            self._slips = 0
        if stamp is None or stamp == self._stamp:
            self.filled += stamp is None
            self.repaired += stamp is not None
            self.last = expected
            return expected
        before, self._stamp = self._stamp, stamp
        if self._offset is None:
            self._offset = expected - stamp
        time = stamp + self._offset
        if self.last is not None and time <= self.last:
            self.repaired += 1
            self._slips = self._slips + 1 if self._slips and before is not None and stamp > before else 1
            nudged = self.last + min(_NUDGE, self._step / 2)
            if self.last - time > JUMP:
                self._offset = expected - stamp
                time = expected
            elif self._slips >= _SLIPS and before is not None:
                self._offset = self.last - before
                time = max(stamp + self._offset, nudged)
            else:
                time = nudged
        else:
            self._slips = 0
        self.last = time
        return time
