"""Tracks side by side: the hands of each moment together, for forms that go through time."""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from stages.export.tracks import Rows, Track
from stages.packets import FloatArray


class Present(NamedTuple):
    """A hand that is there."""

    track: Track
    row: Rows  # (1,)
    vertices: FloatArray  # (V, 3) m; (0, 3) where none are wanted


def hands_in_time(tracks: Sequence[Track], *, vertices: bool = False) -> Iterator[list[Present]]:
    """The hands of each moment that has any, in order of time and then of tracks.

    A track is opened when its time comes, so that what is held is that of the hands which are there at once.
    """
    waiting = sorted(range(len(tracks)), key=lambda number: tracks[number].first_pts, reverse=True)
    heads: list[tuple[float, int]] = []
    rows = {number: _present_rows(tracks[number], vertices) for number in waiting}
    current: dict[int, Present] = {}

    def advance(number: int) -> None:
        if (head := next(rows[number], None)) is not None:
            current[number] = head
            heappush(heads, (float(head.row["pts"][0]), number))

    while waiting or heads:
        while waiting and (not heads or tracks[waiting[-1]].first_pts <= heads[0][0]):
            advance(waiting.pop())
        moment, together = heads[0][0] if heads else 0.0, []
        while heads and heads[0][0] == moment:
            number = heappop(heads)[1]
            together.append(current.pop(number))
            advance(number)
        if together:
            yield together


def _present_rows(track: Track, vertices: bool) -> Iterator[Present]:
    for rows, meshes in track.blocks(vertices=vertices):
        for i in rows["valid"].nonzero()[0].tolist():
            yield Present(track, rows[i : i + 1], meshes[i])
