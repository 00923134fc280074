"""How runs end: stop, signals, time limits, errors, parts that are stuck; and what is kept."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hamba_core.errors import BrokenSourceError, OutputError, SourceError, StuckStageError
from pipeline.clock import MonotonicClock
from pipeline.runner import Mode, RuntimeSettings
from stages.contract import EndOfStream
from stages.packets import Frame

if TYPE_CHECKING:
    from tests.pipeline.conftest import Rig

FOREVER = 10**9


def _finish_in_this_thread(rig: "Rig") -> None:
    """Run in the main thread, where Python's signal handlers run."""
    try:
        rig.runner.run()
    except BaseException as error:  # noqa: BLE001 - a test looks at it
        rig.error = error


@pytest.mark.parametrize("mode", ["offline", "live"])
def test_stop_from_a_thread_finishes_what_is_on_its_way(rig: "Rig", mode: Mode) -> None:
    rig.build(count=FOREVER, mode=mode)
    rig.start()
    rig.until(lambda: len(rig.sinks[0].results) > 5)
    rig.runner.stop()
    rig.runner.stop()
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert (report.state, report.reason) == ("stopped", "stop was asked for")
    for stage in report.stages:
        assert set(stage.dropped) <= {"replaced by newer"}
    rig.check_sinks_were_told("stopped")


def test_stop_before_the_run_opens_nothing(rig: "Rig") -> None:
    rig.build().stop()
    report = rig.finish()
    rig.check(report)
    assert report.state == "stopped"
    assert all(not part.log for part in rig.parts)


def test_stop_during_a_slow_open_closes_what_was_opened(rig: "Rig") -> None:
    rig.build()
    rig.stages[1].on("open", lambda index: rig.block())
    rig.start()
    rig.until(rig.happened.is_set)
    rig.runner.stop()
    rig.released.set()
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert (report.state, report.frames) == ("stopped", 0)
    assert all("write" not in sink.log for sink in rig.sinks)


def test_a_slow_open_may_take_as_long_as_it_likes(rig: "Rig") -> None:
    settings = RuntimeSettings(grace=1, stall=2)
    rig.build(count=3, settings=settings)
    rig.stages[1].on("open", lambda index: rig.advance(1000))
    rig.check(rig.finish())
    assert rig.error is None


@pytest.mark.parametrize("times", [1, 3])
def test_stop_from_a_signal_handler(rig: "Rig", times: int) -> None:
    rig.clock = MonotonicClock()
    runner = rig.build(count=FOREVER)
    before = signal.signal(signal.SIGINT, lambda number, frame: runner.stop())
    try:
        rig.sinks[0].on(
            "write", lambda index: os.kill(os.getpid(), signal.SIGINT) if index in range(3, 3 + times) else None
        )
        _finish_in_this_thread(rig)
    finally:
        signal.signal(signal.SIGINT, before)
    assert rig.error is None
    assert runner.report is not None
    assert runner.report.state == "stopped"
    rig.check(runner.report)


def test_a_keyboard_interrupt_in_run_cleans_up_and_is_raised(rig: "Rig") -> None:
    rig.clock = MonotonicClock()
    runner = rig.build(count=FOREVER)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        rig.sinks[0].on("write", lambda index: os.kill(os.getpid(), signal.SIGINT) if index == 3 else None)
        _finish_in_this_thread(rig)
    finally:
        signal.signal(signal.SIGINT, before)
    assert isinstance(rig.error, KeyboardInterrupt)
    assert runner.report is not None
    assert (runner.report.state, runner.report.reason) == ("stopped", "interrupted")
    rig.check(runner.report)
    rig.check_sinks_were_told("stopped")


def test_a_call_may_be_slow_while_the_run_goes_its_normal_way(rig: "Rig") -> None:
    settings = RuntimeSettings(grace=1, stall=100)
    rig.build(count=4, settings=settings)
    for name, call in (("source", "frame"), ("s1", "process"), ("k1", "write"), ("s2", "close"), ("k0", "close")):
        rig.part(name).on(call, lambda index: rig.advance(20))
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert report.frames == 4


@pytest.mark.parametrize("mode", ["offline", "live"])
@pytest.mark.parametrize(
    ("name", "call"),
    [("source", "frame"), ("s0", "process"), ("s2", "process"), ("k0", "write"), ("s1", "close"), ("k1", "close")],
)
def test_a_part_that_stalls_is_given_up_without_being_asked(rig: "Rig", name: str, call: str, mode: Mode) -> None:
    rig.build(count=20, eager=0, mode=mode, settings=RuntimeSettings(grace=60, stall=60))
    rig.part(name).on(call, lambda index: rig.block() if index in (-1, 3) else None)
    rig.start()
    rig.until(rig.happened.is_set)
    report = rig.finish(step=20)
    rig.check(report, abandoned=name)
    assert isinstance(rig.error, StuckStageError)
    assert f"{name}: expected " in str(rig.error)
    assert "within 60 s, found it still at conftest.py" in str(rig.error)
    assert "raise runtime.stall" in str(rig.error)
    rig.check_sinks_were_told("failed" if call != "close" or name == "s1" else "ended", but=name)


def test_what_an_abandoned_part_held_and_what_waited_for_it_is_counted(rig: "Rig") -> None:
    rig.build(count=FOREVER, settings=RuntimeSettings(capacity=3, grace=1))

    def block(index: int) -> None:
        if index == 4:
            rig.until(lambda: rig.stage_status("s1").queue_depth == 3)
            rig.block()

    rig.stages[1].on("process", block)
    rig.start()
    rig.until(rig.happened.is_set)
    rig.runner.stop()
    report = rig.finish(step=0.4)
    rig.check(report, abandoned="s1")
    s1 = next(stage for stage in report.stages if stage.name == "s1")
    # In hand, waiting, and what s0 still had in hand itself.
    assert s1.dropped == {"abandoned": 5}
    assert s1.emitted == 4
    assert rig.sinks[0].indices == [0, 1, 2, 3]


def test_an_abandoned_part_that_returns_later_is_closed_and_heard_no_more(
    rig: "Rig", caplog: pytest.LogCaptureFixture
) -> None:
    rig.build(count=FOREVER, settings=RuntimeSettings(grace=1))
    rig.stages[1].on("process", lambda index: rig.block() if index == 4 else None)
    rig.start()
    rig.until(rig.happened.is_set)
    rig.runner.stop()
    report = rig.finish(step=0.4)
    assert "close" not in rig.stages[1].log
    rig.released.set()
    rig.until(lambda: not any(thread.name == "hamba s1" for thread in threading.enumerate()))
    assert rig.stages[1].log.count("close") == 1
    assert rig.stages[1].log[-2:] == ["process", "close"]
    assert rig.runner.status() is report
    assert "returned from process after it was abandoned" in caplog.text


def test_what_came_before_a_source_broke_is_kept(rig: "Rig") -> None:
    error = BrokenSourceError("frame 12 of clip.mp4 cannot be read")
    rig.build(count=20, settings=RuntimeSettings(capacity=2, grace=1, stall=1000))

    def fail(index: int) -> None:
        if index == 12:
            raise error

    def be_slow_after_that(index: int) -> None:
        if index == 5:
            rig.until(lambda: "close" in rig.source.log)
            rig.let_time_pass(50)
            rig.let_time_pass(50)

    rig.source.on("frame", fail)
    # All of its frames are in the line while a sink holds them up for long.
    rig.sinks[0].on("write", be_slow_after_that)
    report = rig.finish()
    rig.check(report)
    assert rig.error is error
    assert rig.sinks[0].indices == rig.sinks[1].indices == list(range(12))
    assert report.reason == "source: BrokenSourceError: frame 12 of clip.mp4 cannot be read"
    rig.check_sinks_were_told("failed")


def test_a_live_source_that_fails_ends_the_run_with_its_error(rig: "Rig") -> None:
    error = SourceError("the camera was unplugged")
    rig.build(count=20, eager=0, mode="live")

    def fail(index: int) -> None:
        if index == 8:
            raise error

    rig.source.on("frame", fail)
    report = rig.finish()
    rig.check(report)
    assert rig.error is error
    assert rig.sinks[0].indices == list(range(8))


def test_what_had_passed_a_failing_stage_is_kept(rig: "Rig") -> None:
    rig.build(count=100)

    def fail(index: int) -> None:
        if index == 30:
            raise ZeroDivisionError

    rig.stages[1].on("process", fail)
    rig.check(rig.finish())
    assert isinstance(rig.error, ZeroDivisionError)
    assert rig.sinks[0].indices == rig.sinks[1].indices == list(range(30))


def test_a_failing_sink_leaves_the_others_what_was_finished_and_the_rest_is_dropped(rig: "Rig") -> None:
    rig.build(count=100)

    def fail(index: int) -> None:
        if index == 30:
            rig.until(lambda: rig.stage_status("s1").queue_depth == 4)
            raise OutputError("no space")

    def dropped() -> int:
        return sum(stage.dropped.get("run ended", 0) for stage in rig.status().stages[:4])

    rig.sinks[0].on("write", fail)
    rig.stages[1].on("process", lambda index: rig.until(lambda: dropped() > 0) if index > 30 else None)
    report = rig.finish()
    rig.check(report)
    assert isinstance(rig.error, OutputError)
    assert dropped() >= 4
    assert rig.sinks[0].indices == list(range(30))
    assert rig.sinks[1].indices == list(range(report.frames))
    rig.check_sinks_were_told("failed")


@pytest.mark.parametrize("name", ["s1", "k0"])
def test_a_part_that_needs_no_more_ends_the_run_normally(rig: "Rig", name: str) -> None:
    rig.build(count=FOREVER)

    def end(index: int) -> None:
        if index == 10:
            raise EndOfStream

    rig.part(name).on("write" if name == "k0" else "process", end)
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert (report.state, report.reason) == ("ended", f"{name} needed no more")
    assert rig.sinks[0].indices == list(range(10))
    assert rig.sinks[1].indices == list(range(report.frames))


@pytest.mark.parametrize("name", ["s1", "k0"])
def test_a_source_that_hangs_when_no_more_is_needed_has_the_grace_time(rig: "Rig", name: str) -> None:
    rig.build(count=FOREVER, settings=RuntimeSettings(grace=2, stall=50))

    def end(index: int) -> None:
        if index == 3:
            rig.until(rig.happened.is_set)
            raise EndOfStream

    rig.source.on("frame", lambda index: rig.block() if index == 4 else None)
    rig.part(name).on("write" if name == "k0" else "process", end)
    rig.start()
    rig.until(rig.happened.is_set)
    rig.check(rig.finish(step=0.5), abandoned="source")
    assert isinstance(rig.error, StuckStageError)
    assert "source: expected frames to return within 2 s once the run was ending" in str(rig.error)
    assert rig.sinks[1].indices == [0, 1, 2] if name == "s1" else [0, 1, 2, 3]


def test_a_signal_of_the_end_that_comes_after_it_changes_nothing(rig: "Rig") -> None:
    rig.build()

    def end(index: int) -> None:
        raise EndOfStream

    rig.sinks[0].on("close", end)
    rig.stages[0].on("close", end)
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert (report.state, report.reason) == ("ended", "the source ended")


def test_the_grace_time_counts_from_stop_if_a_call_began_before(rig: "Rig") -> None:
    rig.build(count=FOREVER, settings=RuntimeSettings(grace=10))

    def be_slow(index: int) -> None:
        if index == 3:
            rig.let_time_pass(100)
            rig.runner.stop()
            rig.let_time_pass(3)

    rig.stages[1].on("process", be_slow)
    rig.check(rig.finish())
    assert rig.error is None


def test_an_error_in_close_does_not_hurry_the_others(rig: "Rig") -> None:
    rig.build(count=8, settings=RuntimeSettings(grace=1))
    error = OSError()

    def fail(index: int) -> None:
        raise error

    def be_slow(index: int) -> None:
        if index == 7:
            rig.until(lambda: "close" in rig.stages[2].log)
            rig.let_time_pass(100)

    rig.stages[0].on("close", fail)
    rig.sinks[0].on("write", be_slow)
    report = rig.finish()
    rig.check(report)
    assert rig.error is error
    assert rig.sinks[0].indices == list(range(8))


def test_the_first_error_is_raised_and_later_ones_are_notes_on_it(rig: "Rig") -> None:
    rig.build(count=FOREVER, settings=RuntimeSettings(grace=1))
    first = ValueError("the first")

    def fail(index: int) -> None:
        if index == 5:
            raise first

    def fail_later(index: int) -> None:
        raise OSError("later")

    rig.stages[1].on("process", fail)
    rig.sinks[0].on("close", fail_later)
    rig.sinks[1].on("close", lambda index: rig.block())
    report = rig.finish(step=0.4)
    rig.check(report, abandoned="k1")
    assert rig.error is first
    assert rig.error.__notes__[0] == "after that, k0: OSError: later"
    assert rig.error.__notes__[1].startswith("after that, k1: StuckStageError: k1: expected close to return within 1 s")
    assert report.reason == "s1: ValueError: the first"


def test_an_error_in_close_and_in_the_final_news_does_not_keep_others_open(rig: "Rig") -> None:
    rig.build(count=3)

    def fail(index: int) -> None:
        raise OSError

    for part in rig.parts:
        part.on("close", fail)
    rig.sinks[0].on("status", fail)
    report = rig.finish()
    rig.check(report)
    assert isinstance(rig.error, OSError)
    assert report.state == "failed"
    assert report.frames == 3


def test_a_source_that_cannot_be_opened_ends_the_run_before_any_frame(rig: "Rig") -> None:
    rig.build()
    error = SourceError("no such file")

    def fail(index: int) -> None:
        raise error

    rig.source.on("open", fail)
    report = rig.finish()
    rig.check(report)
    assert rig.error is error
    assert (report.state, report.frames, report.elapsed) == ("failed", 0, 0)
    assert rig.source.log == ["open", "close"]


def test_a_sink_that_cannot_be_opened_ends_the_run_before_any_frame(rig: "Rig") -> None:
    rig.build()
    error = OutputError("address in use")

    def fail(index: int) -> None:
        rig.until(lambda: "open" in rig.sinks[1].log)
        raise error

    rig.sinks[0].on("open", fail)
    report = rig.finish()
    rig.check(report)
    assert rig.error is error
    assert rig.sinks[0].log == ["open", "close"]
    assert "write" not in rig.sinks[1].log
    rig.check_sinks_were_told("failed", but="k0")


@pytest.mark.parametrize("where", ["on_status", "run_info"])
def test_an_error_in_a_callback_ends_the_run_with_it(rig: "Rig", where: str) -> None:
    error = RuntimeError("in a callback")
    calls = []

    def fail(*arguments: object) -> None:
        calls.append(arguments)
        raise error

    options: dict[str, Any] = {where: fail}
    rig.build(count=FOREVER, eager=0, **options)
    rig.start()
    if where == "on_status":
        rig.until(lambda: len(rig.sinks[0].results) > 3)
        rig.advance(1)
    report = rig.finish()
    rig.check(report)
    assert rig.error is error
    assert report.state == "failed"
    assert len(calls) == 1
    rig.check_sinks_were_told("failed")


def test_a_generator_is_closed_in_the_sources_own_thread(rig: "Rig") -> None:
    rig.build(count=FOREVER)
    closed_in: list[str] = []

    def frames() -> Iterator[Frame]:
        try:
            for index in range(FOREVER):
                yield rig.frame(index)
        finally:
            closed_in.append(threading.current_thread().name)

    rig.source.frames = frames  # type: ignore[method-assign]
    rig.start()
    rig.until(lambda: len(rig.sinks[0].results) > 3)
    rig.runner.stop()
    rig.check(rig.finish())
    assert closed_in == ["hamba source"]


def test_the_machines_clock_gives_up_what_is_stuck_too(rig: "Rig") -> None:
    rig.clock = MonotonicClock()
    rig.build(count=FOREVER, settings=RuntimeSettings(grace=0.2))
    rig.stages[1].on("process", lambda index: rig.block() if index == 5 else None)
    rig.start()
    rig.until(rig.happened.is_set)
    begin = time.monotonic()
    rig.runner.stop()
    report = rig.finish()
    assert time.monotonic() - begin >= 0.2
    rig.check(report, abandoned="s1")
    assert isinstance(rig.error, StuckStageError)


STUCK_PROGRAM = """
    import time
    import numpy as np
    from hamba_core.camera import Intrinsics
    from hamba_core.errors import StuckStageError
    from pipeline.runner import Runner, RuntimeSettings
    from stages.contract import Source, Stage
    from stages.packets import *

    camera = Intrinsics.estimate(1, 1)

    class Endless(Source):
        def open(self):
            return SourceInfo("endless", "synthetic", False, 1, 1, None, None, camera)

        def frames(self):
            for i in range(10**9):
                meta = FrameMeta("hands", i, 0.0, time.monotonic_ns(), 1, 1, camera)
                yield Frame(meta, np.zeros((1, 1, 3), np.uint8))

    class Stuck(Stage):
        name = "stuck"

        def process(self, packet):
            runner.stop()
            time.sleep(10**6)

        def topology(self):
            return HandTopology("none", 0, np.zeros((0, 3)), np.zeros((0, 3)))

    def run_info(source, topology):
        return RunInfo("hands", source, topology, "none", ClockAnchor(0, 0), {}, {})

    runner = Runner(Endless(), [Stuck()], [], run_info=run_info, settings=RuntimeSettings(grace=0.1))
    try:
        runner.run()
    except StuckStageError as error:
        print(error)
"""


def test_an_abandoned_thread_cannot_hold_the_process() -> None:
    program = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(STUCK_PROGRAM)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert program.stdout.startswith("stuck: expected process to return within 0.1 s once the run was ending")
    assert "in process" in program.stdout
    assert not program.stderr
