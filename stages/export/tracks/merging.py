"""Tracks side by side, for forms that go through time: what each has of a moment comes together."""

from collections.abc import Callable, Iterator, Sequence
from heapq import heappop, heappush
from typing import TypeVar

from stages.export.tracks.track_files import Track

T = TypeVar("T")


def merge_by_time(
    tracks: Sequence[Track], hands_of: Callable[[Track], Iterator[tuple[float, T]]]
) -> Iterator[tuple[float, list[T]]]:
    """Yield each moment (s) at which there are hands, with what `hands_of` makes of them, in the order of tracks.

    `hands_of` gives the moments of one track, rising. It is asked when the track's time comes, so that no more is held
    than the hands which are there at once.
    """
    waiting = sorted(range(len(tracks)), key=lambda number: tracks[number].first_pts, reverse=True)
    heads: list[tuple[float, int]] = []
    open_: dict[int, Iterator[tuple[float, T]]] = {}
    held: dict[int, T] = {}

    def advance(number: int) -> None:
        found = next(open_[number], None)
        if found is None:
            del open_[number]
        else:
            held[number] = found[1]
            heappush(heads, (found[0], number))

    while waiting or heads:
        while waiting and (not heads or tracks[waiting[-1]].first_pts <= heads[0][0]):
            number = waiting.pop()
            open_[number] = iter(hands_of(tracks[number]))
            advance(number)
        if not heads:
            continue
        moment, together = heads[0][0], []
        while heads and heads[0][0] == moment:
            number = heappop(heads)[1]
            together.append(held.pop(number))
            advance(number)
        yield moment, together
