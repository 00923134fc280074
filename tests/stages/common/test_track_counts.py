"""Births, deaths, gaps and side flips of tracks."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from hamba_core.hand import Side
from stages.common.track_counts import TrackCounter
from stages.packets import FrameResult, Hand, TrackCounts

Shown = Sequence[tuple[int, Side]]


@pytest.fixture
def count(make_hand: Callable[..., Hand], make_result: Callable[..., FrameResult]) -> Callable[..., TrackCounts]:
    """count(frames, rate) -> the counts of frames with hands of these track ids and sides."""
    hand = make_hand(vertices=False)

    def make(*frames: Shown, rate: float = 10.0) -> TrackCounts:
        counter = TrackCounter()
        for index, shown in enumerate(frames):
            hands = tuple(replace(hand, track_id=track, side=side) for track, side in shown)
            counter.add(make_result(index, hands, pts=index / rate))
        return counter.counts

    return make


def test_a_hand_that_stays_is_born_once(count: Callable[..., TrackCounts]) -> None:
    assert count([(1, "left")], [(1, "left")]) == TrackCounts(births=1)


def test_who_is_not_there_at_the_end_has_died(count: Callable[..., TrackCounts]) -> None:
    assert count([(1, "left"), (2, "right")], [(2, "right")], [(2, "right"), (3, "left")]) == TrackCounts(3, 1)


def test_who_comes_back_had_a_gap_and_its_length(count: Callable[..., TrackCounts]) -> None:
    counts = count([(1, "left")], [], [], [(1, "left")], [], [(1, "left")])
    assert (counts.births, counts.deaths, counts.gaps) == (1, 0, 2)
    assert counts.gap_seconds == pytest.approx(0.3)


def test_changes_of_side_are_counted_each(count: Callable[..., TrackCounts]) -> None:
    assert count([(1, "left")], [(1, "right")], [(1, "right")], [(1, "left")]).side_flips == 2


def test_tracks_away_for_long_are_forgotten(
    make_hand: Callable[..., Hand], make_result: Callable[..., FrameResult]
) -> None:
    counter = TrackCounter()
    for index in range(500):
        counter.add(make_result(index, (make_hand(track_id=index, vertices=False),), pts=float(index)))
    assert counter.counts.births == 500
    assert counter.counts.deaths == 499
    assert len(counter._last) < 70
