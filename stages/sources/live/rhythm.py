"""Packets that come much faster than usual were held up: a stream without times of its own has no other sign.

A sender that could not send for a while sends what waited as fast as it can. Until it is done, its pictures are old.
"""

from collections import deque

_HEARD = 8  # packets that are looked at
_FEWEST = 4
_FASTER = 0.3  # of the usual time between two packets; a camera in dim light gives half its rate, and then all of it
_SILENCE_NS = 500_000_000
_LEARNT, _RELEARNT = 0.05, 0.005
"""How much of a new interval is learnt, as usual and while it catches up: a camera may have become faster for good."""


class Rhythm:
    """The time between packets: as it is, and as it usually is."""

    def __init__(self) -> None:
        self._arrivals: deque[int] = deque(maxlen=_HEARD)
        self.usual = 0.0
        """Seconds between two packets; 0 while that is unknown."""
        self.catches_up = False
        """Whether the newest packets came much faster than usual."""

    def hear(self, arrived_ns: int) -> None:
        """Take note of the arrival of a packet."""
        arrivals = self._arrivals
        if arrivals and arrived_ns - arrivals[-1] > _SILENCE_NS:
            arrivals.clear()
        arrivals.append(arrived_ns)
        if len(arrivals) < _FEWEST:
            return
        interval = (arrivals[-1] - arrivals[0]) / 1e9 / (len(arrivals) - 1)
        self.catches_up = interval < _FASTER * self.usual
        if not self.usual:
            self.usual = interval if len(arrivals) == _HEARD else 0.0
        else:
            self.usual += (_RELEARNT if self.catches_up else _LEARNT) * (interval - self.usual)
