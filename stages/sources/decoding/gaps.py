"""Gaps of a stream that comes in pieces: FFmpeg passes over a piece that it cannot have, without a word."""

from typing import Final

IN_PIECES: Final = frozenset(("hls", "dash"))
"""FFmpeg's names of what is a list of pieces."""
PIECE: Final = 0.5
"""Seconds that a piece has at least, and pictures that are missing with it."""


class Gaps:
    """It is told the times of all pictures, s, in order, and tells where there were none for as long as a piece."""

    def __init__(self, rate: float | None) -> None:
        self._least = max(PIECE, 3 / rate if rate else 0.0)
        self._first: float | None = None
        self._newest = 0.0
        self._longest = (0.0, 0.0)  # s from the first picture, and without one
        self.count = 0

    def picture(self, time: float) -> None:
        """Take note of a picture."""
        if self._first is None:
            self._first = time
        elif time - self._newest > self._least:
            self.count += 1
            at, seconds = self._newest - self._first, time - self._newest
            if seconds > self._longest[1]:
                self._longest = at, seconds
        self._newest = time

    def __str__(self) -> str:
        at, seconds = self._longest
        more = f", and {self.count - 1} more such gaps" if self.count > 1 else ""
        return f"no pictures for {seconds:.2f} s at {at:.2f} s{more}"
