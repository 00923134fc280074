"""Whether hands stay the same hands: tracks that begin, end, are interrupted, and change sides."""

from typing import Final

from hamba_core.hand import Side
from stages.packets import FrameResult, TrackCounts

_FORGET: Final = 60.0  # s; an id that was away so long is not waited for


class TrackCounter:
    """It counts as results come, in order of time. One thread adds; `counts` may be read from any."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, Side]] = {}  # pts and side when a track was last there
        self._present: frozenset[int] = frozenset()
        self._previous_pts = 0.0
        self._births = self._gaps = self._side_flips = 0
        self._gap_seconds = 0.0

    def add(self, result: FrameResult) -> None:
        """Count a frame's hands."""
        pts = result.frame.pts
        for hand in result.hands:
            known = self._last.get(hand.track_id)
            if known is None:
                self._births += 1
            else:
                if hand.track_id not in self._present:
                    self._gaps += 1
                    self._gap_seconds += max(pts - known[0] - max(pts - self._previous_pts, 0.0), 0.0)
                self._side_flips += known[1] != hand.side
            self._last[hand.track_id] = (pts, hand.side)
        self._present = frozenset(hand.track_id for hand in result.hands)
        self._previous_pts = pts
        if len(self._last) > len(result.hands):
            gone = [track for track, (seen, _) in self._last.items() if abs(pts - seen) > _FORGET]
            for track in gone:
                del self._last[track]

    @property
    def counts(self) -> TrackCounts:
        """Return the counts so far."""
        deaths = self._births - len(self._present)
        return TrackCounts(self._births, max(deaths, 0), self._gaps, self._gap_seconds, self._side_flips)
