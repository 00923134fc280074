"""Playing a recording: everything again, at its own pace, on a simulated clock."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.contract import Sink
from stages.packets import FrameResult, RunInfo, Status
from stages.recording import Recorder, Recording, read_recording
from viewers.player import Player

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]

FRAMES = 10


class Clock:
    """Stands still until somebody sleeps."""

    def __init__(self) -> None:
        self.ns = 5_000_000_000
        self.longest = 0.0

    def now_ns(self) -> int:
        return self.ns

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.longest = max(self.longest, seconds)
        self.ns += round(seconds * 1e9)


class Heard(Sink):
    """Notes what it is given and when; interrupts after so many frames."""

    name = "publish"

    def __init__(self, clock: Clock, interrupt_after: int = 1_000_000) -> None:
        self.clock, self.interrupt_after = clock, interrupt_after
        self.run: RunInfo | None = None
        self.results: list[tuple[float, FrameResult]] = []
        self.statuses: list[tuple[float, Status]] = []
        self.closed = 0

    def open(self, run: RunInfo) -> None:
        self.run = run
        self.begin = self.clock.ns

    def write(self, result: FrameResult) -> None:
        self.results.append(((self.clock.ns - self.begin) / 1e9, result))
        if len(self.results) >= self.interrupt_after:
            raise KeyboardInterrupt

    def status(self, status: Status) -> None:
        self.statuses.append(((self.clock.ns - self.begin) / 1e9, status))

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def recording(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> Recording:
    """Ten frames of a live run, 0.1 s apart, but for a gap of 3 s before the last."""
    recorder = Recorder(tmp_path / "hands.mcap")
    recorder.open(make_run(live=True))
    for index in range(FRAMES):
        seconds = 1.0 + 0.1 * index + (3.0 if index == FRAMES - 1 else 0.0)
        recorder.write(make_result(index, index % 3, pts=seconds - 1, captured_ns=int(seconds * 1e9)))
    recorder.close()
    return read_recording(tmp_path / "hands.mcap")


def test_a_pause_puts_off_what_follows_and_a_jump_goes_there(recording: Recording) -> None:
    clock = Clock()
    heard = Heard(clock)

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        passed = (clock.ns - heard.begin) / 1e9
        if 0.35 < passed < 0.45 and not player.paused:
            player.pause()
        elif passed > 2.0 and player.paused:
            player.pause()
            player.jump(0.35)  # from 0.3 s on to 0.65 s

    player = Player(recording, heard, now_ns=clock.now_ns, sleep=sleep)
    assert player.run().state == "ended"
    indices = [result.frame.index for _, result in heard.results]
    assert indices == [0, 1, 2, 3, 7, 8, 9]
    times = [moment for moment, _ in heard.results]
    assert times[4] > 2.0
    assert np.diff(times[4:]) == pytest.approx([0.1, 3.1], abs=0.11)


def test_a_jump_back_plays_what_was_played_again_and_stop_ends_it(recording: Recording) -> None:
    clock = Clock()
    heard = Heard(clock)
    player = Player(recording, heard, now_ns=clock.now_ns, sleep=clock.sleep, loop=True)
    write = heard.write

    def watch(result: FrameResult) -> None:
        write(result)
        if len(heard.results) == 5:
            player.jump(-0.25)  # from 0.4 s back to 0.15 s
        if len(heard.results) == 12:
            player.stop()

    heard.write = watch  # type: ignore[method-assign]
    assert player.run().state == "stopped"
    assert [result.frame.index for _, result in heard.results] == [0, 1, 2, 3, 4, 2, 3, 4, 5, 6, 7, 8]


def test_while_paused_each_place_that_is_sought_is_shown_and_stays(recording: Recording) -> None:
    clock = Clock()
    heard = Heard(clock)
    places = iter([0.5, 0.2, 3.9, 1e9, -3.0])
    shown: list[list[int]] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if not player.paused:
            player.pause()
        elif (clock.ns - heard.begin) % 500_000_000 < 100_000_000:  # every half second
            shown.append([result.frame.index for _, result in heard.results])
            heard.results.clear()
            place = next(places, None)
            if place is None:
                player.stop()
            else:
                player.seek(place)

    player = Player(recording, heard, now_ns=clock.now_ns, sleep=sleep, loop=True)
    assert player.duration == pytest.approx(3.9)
    assert player.run().state == "stopped"
    assert shown == [[0], [5], [2], [9], [9], [0]]


TIMES = [*(0.1 * index for index in range(FRAMES - 1)), 0.1 * (FRAMES - 1) + 3]


@pytest.mark.parametrize("rate", [1.0, 2.0, 0.5])
def test_frames_come_at_the_recorded_times_by_the_rate(recording: Recording, rate: float) -> None:
    clock = Clock()
    heard = Heard(clock)
    status = Player(recording, heard, rate=rate, now_ns=clock.now_ns, sleep=clock.sleep).run()
    assert [when for when, _ in heard.results] == pytest.approx([time / rate for time in TIMES], abs=1e-6)
    assert [result.frame.index for _, result in heard.results] == list(range(FRAMES))
    assert [len(result.hands) for _, result in heard.results] == [index % 3 for index in range(FRAMES)]
    assert (status.state, status.frames) == ("ended", FRAMES)
    assert heard.statuses[-1][1] is status
    assert heard.closed == 1
    assert clock.longest <= 0.1, "so that Ctrl-C is heard"


def test_hands_are_the_recorded_ones_captured_now(recording: Recording) -> None:
    clock = Clock()
    heard = Heard(clock)
    Player(recording, heard, now_ns=clock.now_ns, sleep=clock.sleep).run()
    for (when, played), recorded in zip(heard.results, recording.results(), strict=True):
        assert played.frame.captured_ns == heard.begin + round(when * 1e9)
        for hand, original in zip(played.hands, recorded.hands, strict=True):
            np.testing.assert_array_equal(hand.vertices, original.vertices)
    assert heard.run is not None
    assert heard.run.topology.vertices == recording.topology.vertices
    assert heard.run.stream == recording.run.stream
    assert heard.run.clock.monotonic_ns == heard.begin


def test_the_state_is_told_every_second_also_while_no_frames_come(recording: Recording) -> None:
    clock = Clock()
    heard = Heard(clock)
    Player(recording, heard, now_ns=clock.now_ns, sleep=clock.sleep).run()
    running = [when for when, status in heard.statuses if status.state == "running"]
    assert running == pytest.approx([0, 1, 2, 3], abs=0.2)


def test_a_loop_goes_on_counting_until_it_is_stopped(recording: Recording) -> None:
    clock = Clock()
    heard = Heard(clock, interrupt_after=2 * FRAMES + 5)
    status = Player(recording, heard, loop=True, now_ns=clock.now_ns, sleep=clock.sleep).run()
    assert status.state == "stopped"
    assert heard.closed == 1
    frames = [result.frame for _, result in heard.results]
    assert [frame.index for frame in frames] == list(range(2 * FRAMES + 5))
    pts = [frame.pts for frame in frames]
    assert pts == sorted(pts)
    times = [when for when, _ in heard.results]
    # The pause between rounds is as long as that between the last two frames.
    assert times[FRAMES] - times[FRAMES - 1] == pytest.approx(3.1)
    assert times[FRAMES + 1] - times[FRAMES] == pytest.approx(0.1)
    assert pts[FRAMES + 1] - pts[1] == pytest.approx(times[FRAMES + 1] - times[1])


def test_a_slow_sink_delays_frames_and_loses_none(recording: Recording) -> None:
    clock = Clock()

    class Slow(Heard):
        def write(self, result: FrameResult) -> None:
            super().write(result)
            self.clock.ns += 250_000_000

    heard = Slow(clock)
    Player(recording, heard, now_ns=clock.now_ns, sleep=clock.sleep).run()
    assert [result.frame.index for _, result in heard.results] == list(range(FRAMES))


def test_what_the_sink_raises_comes_out_after_it_was_closed(recording: Recording) -> None:
    clock = Clock()

    class Broken(Heard):
        def write(self, result: FrameResult) -> None:
            raise OSError("no network")

    heard = Broken(clock)
    with pytest.raises(OSError, match="no network"):
        Player(recording, heard, now_ns=clock.now_ns, sleep=clock.sleep).run()
    assert heard.closed == 1
