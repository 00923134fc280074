"""How runs end when they are asked to, or need no more: stop, signals, a part that has enough."""

import os
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pipeline.runtime.clock import MonotonicClock
from pipeline.runtime.runner import Mode, RuntimeSettings
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


def test_a_stop_while_a_stage_is_opened_does_not_wait_for_it(rig: "Rig") -> None:
    rig.build(settings=RuntimeSettings(grace=5))
    rig.stages[1].on("open", lambda index: rig.block())
    rig.start()
    rig.until(rig.happened.is_set)
    rig.runner.stop()
    report = rig.finish(step=0.5)
    assert rig.error is None
    assert (report.state, report.reason, report.frames) == ("stopped", "stop was asked for", 0)
    assert rig.runner.abandoned == (rig.stages[1].name,)
    assert report.elapsed < 2
    for part in (rig.source, rig.stages[0]):
        assert part.log[-1] == "close"


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
