"""What the time between packets tells of a stream without times of its own."""

from itertools import accumulate

import numpy as np

from stages.sources.live.rhythm import Rhythm

S = 10**9


def heard(rhythm: Rhythm, begin: int, gaps: list[float]) -> tuple[int, list[bool]]:
    """When the last of these packets came, and after each whether it was taken for one that was held up."""
    found = []
    arrived = begin
    for arrived in accumulate((round(gap * S) for gap in gaps), initial=begin):
        rhythm.hear(arrived)
        found.append(rhythm.catches_up)
    return arrived, found


def test_a_steady_stream_is_never_behind_however_it_jitters() -> None:
    random = np.random.default_rng(0)
    for jitter in (0.0, 0.01, 0.03):
        _, found = heard(Rhythm(), 0, [1 / 30 + float(random.uniform(-jitter, jitter)) for _ in range(600)])
        assert not any(found)


def test_packets_that_come_three_at_once_are_not_held_up() -> None:
    _, found = heard(Rhythm(), 0, [0.1 if index % 3 == 0 else 0.0 for index in range(300)])
    assert not any(found)


def test_after_a_silence_what_comes_at_once_was_held_up_until_the_usual_time_lies_between() -> None:
    rhythm = Rhythm()
    end, _ = heard(rhythm, 0, [1 / 30] * 100)
    end, found = heard(rhythm, end + 5 * S, [0.002] * 150)
    assert all(found[4:])
    _, found = heard(rhythm, end, [1 / 30] * 30)
    assert not any(found[4:])


def test_a_camera_that_becomes_twice_as_fast_is_not_behind_and_one_five_times_as_fast_for_seconds_only() -> None:
    rhythm = Rhythm()
    end, _ = heard(rhythm, 0, [1 / 15] * 100)
    end, found = heard(rhythm, end, [1 / 30] * 100)
    assert not any(found)
    _, found = heard(rhythm, end, [1 / 150] * 750)
    assert any(found)
    assert not any(found[-150:])
