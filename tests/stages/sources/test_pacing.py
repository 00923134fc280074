from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from hamba_core.view import Intrinsics
from stages.contract import Source
from stages.packets import Choice, Frame, FrameMeta, SourceInfo
from stages.sources.pacing import SLACK, PacedSource

CAMERA = Intrinsics.estimate(32, 32)


class Clock:
    """A simulated clock, in nanoseconds, that `sleep` moves."""

    def __init__(self) -> None:
        self.now = 10**12

    def __call__(self) -> int:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += round(seconds * 1e9)


class Clip(Source):
    """Frames at given times; decoding each takes `cost` seconds of the clock."""

    def __init__(self, times: list[float | None], clock: Clock, cost: float = 0.0, live: bool = False) -> None:
        self.times, self.clock, self.cost, self.live = times, clock, cost, live
        self.closed = False

    def open(self) -> SourceInfo:
        return SourceInfo("clip", "file", self.live, 32, 32, 30, None, CAMERA)

    def frames(self) -> Iterator[Frame | None]:
        for index, pts in enumerate(self.times):
            self.clock.now += round(self.cost * 1e9)
            if pts is None:
                yield None
                continue
            meta = FrameMeta("s", index, pts, self.clock.now, 32, 32, CAMERA)
            yield Frame(meta, np.zeros((32, 32, 3), np.uint8))

    def close(self) -> None:
        self.closed = True

    def choices(self) -> tuple[Choice, ...]:
        return (Choice("decoder", "none", "a test"),)


def played(clip: Clip, clock: Clock) -> list[tuple[float, Frame | None]]:
    """When each thing came, in seconds from the first frame."""
    source = PacedSource(clip, clock, clock.sleep)
    source.open()
    came = []
    for frame in source.frames():
        came.append((clock.now, frame))
    start = next(now for now, frame in came if frame is not None)
    return [((now - start) / 1e9, frame) for now, frame in came]


def test_frames_come_when_their_time_has_come() -> None:
    clock = Clock()
    came = played(Clip([0.0, 0.04, 0.5, 0.51], clock), clock)
    assert [now for now, frame in came if frame] == pytest.approx([0, 0.04, 0.5, 0.51])


def test_while_it_waits_it_says_so_several_times_a_second() -> None:
    clock = Clock()
    came = played(Clip([0.0, 2.0], clock), clock)
    moments = [now for now, _ in came]
    assert max(b - a for a, b in pairwise(moments)) <= 0.25
    assert sum(frame is None for _, frame in came) >= 8


def test_a_frame_is_stamped_when_its_time_came() -> None:
    clock = Clock()
    came = played(Clip([0.0, 0.1, 0.2], clock), clock)
    frames = [frame for _, frame in came if frame]
    assert [b.meta.captured_ns - a.meta.captured_ns for a, b in pairwise(frames)] == [10**8] * 2


def test_a_file_that_decodes_slower_than_its_rate_plays_slower_and_its_frames_are_fresh() -> None:
    clock = Clock()
    times: list[float | None] = [index / 30 for index in range(60)]
    source = PacedSource(Clip(times, clock, cost=0.1), clock, clock.sleep)
    source.open()
    ages = [(clock.now - frame.meta.captured_ns) / 1e9 for frame in source.frames() if frame]
    assert max(ages) <= SLACK
    assert len(ages) == 60


def test_a_short_hitch_is_caught_up() -> None:
    clock = Clock()
    source = PacedSource(Clip([0.0, 0.1, 0.2, 0.3], clock), clock, clock.sleep)
    source.open()
    start, moments = clock.now, []
    for frame in source.frames():
        if frame is None:
            continue
        moments.append((clock.now - start) / 1e9)
        if frame.meta.index == 0:
            clock.sleep(0.15)
    assert moments == pytest.approx([0, 0.15, 0.2, 0.3])


def test_what_is_live_passes_as_it_comes() -> None:
    clock = Clock()
    came = played(Clip([0.0, None, 5.0], clock, live=True), clock)
    assert [now for now, _ in came] == [0, 0, 0]


def test_closing_and_choices_reach_the_source() -> None:
    clock = Clock()
    clip = Clip([0.0], clock)
    source = PacedSource(clip, clock, clock.sleep)
    source.open()
    source.close()
    assert clip.closed
    assert [choice.subject for choice in source.choices()] == ["decoder", "pace"]
