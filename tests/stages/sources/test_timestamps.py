from itertools import accumulate, pairwise

import pytest
from hypothesis import given, strategies as st

from stages.sources.timestamps import JUMP, Timeline


def test_times_count_from_the_first_picture() -> None:
    timeline = Timeline(30)
    assert [timeline.place(stamp) for stamp in (12.5, 12.6, 13.0)] == pytest.approx([0, 0.1, 0.5])
    assert (timeline.repaired, timeline.filled) == (0, 0)


def test_missing_stamps_are_filled_in_from_the_rate() -> None:
    timeline = Timeline(20)
    assert [timeline.place(stamp) for stamp in (None, None, 0.2, None)] == pytest.approx([0, 0.05, 0.1, 0.15])
    assert timeline.filled == 3


def test_a_slip_back_is_put_just_after_its_predecessor_and_moves_nothing_else() -> None:
    timeline = Timeline(30)
    times = [timeline.place(stamp) for stamp in (0.0, 0.033, 0.030, 0.066, 0.1)]
    assert times[2] == pytest.approx(0.034)
    assert times[3:] == pytest.approx([0.066, 0.1])
    assert timeline.repaired == 1


def test_a_jump_back_begins_anew_where_the_pictures_ended() -> None:
    timeline = Timeline(10)
    times = [timeline.place(stamp) for stamp in (50.0, 50.1, 0.0, 0.1, 0.2)]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert timeline.repaired == 1


def test_short_pieces_put_together_keep_the_distances_of_their_pictures() -> None:
    """Half a second each: too short for their clocks to jump back by a second."""
    timeline = Timeline(30)
    times = [timeline.place(1.4 + picture / 30) for _ in range(3) for picture in range(15)]
    steps = [b - a for a, b in pairwise(times)]
    assert [step for step in steps if step > 0.02] == pytest.approx([1 / 30] * 40)
    assert sum(step < 0.02 for step in steps) == 4  # of the first two of a piece it cannot be known yet
    assert times[-1] == pytest.approx(44 / 30, abs=0.15)


def test_two_pictures_that_are_late_move_nothing_else() -> None:
    timeline = Timeline(10)
    times = [timeline.place(stamp) for stamp in (0.0, 0.1, 0.5, 0.2, 0.3, 0.6, 0.7)]
    assert times == pytest.approx([0.0, 0.1, 0.5, 0.501, 0.502, 0.6, 0.7])


def test_a_stamp_that_never_changes_is_replaced_by_the_rate() -> None:
    timeline = Timeline(25)
    assert [timeline.place(7.0) for _ in range(50)] == pytest.approx([index / 25 for index in range(50)])
    assert timeline.repaired == 49


def test_another_clock_continues_at_the_time_it_is_told() -> None:
    timeline = Timeline(30)
    timeline.place(100.0)
    timeline.restart(at=7.0)
    assert [timeline.place(stamp) for stamp in (3.0, 3.5)] == pytest.approx([7.0, 7.5])
    timeline.restart(at=1.0)
    assert timeline.place(0.0) > 7.5


def test_stamps_that_are_no_numbers_count_as_missing() -> None:
    timeline = Timeline(10)
    assert [timeline.place(stamp) for stamp in (0.0, float("nan"), float("inf"))] == pytest.approx([0, 0.1, 0.2])


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6, width=32)), max_size=60), st.sampled_from((None, 1, 30, 240)))
def test_times_always_rise(stamps: list[float | None], rate: float | None) -> None:
    timeline = Timeline(rate)
    times = [timeline.place(stamp) for stamp in stamps]
    assert all(a < b for a, b in pairwise(times))


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=40), st.integers(-(10**7), 10**7))
def test_stamps_that_rise_keep_their_distances(steps: list[int], start: int) -> None:
    milliseconds = list(accumulate(steps, initial=start))
    timeline = Timeline(30)
    times = [timeline.place(stamp / 1000) for stamp in milliseconds]
    assert times == pytest.approx([(stamp - start) / 1000 for stamp in milliseconds], abs=1e-6)
    assert timeline.repaired == 0


def test_the_least_jump_is_a_second() -> None:
    slip, jump = Timeline(30), Timeline(30)
    for timeline, back in ((slip, JUMP * 0.9), (jump, JUMP * 1.1)):
        timeline.place(0.0)
        timeline.place(5.0)
        timeline.place(5.0 - back)
    assert slip.place(5.2) == pytest.approx(5.2)
    assert jump.place(5.2) > 6
