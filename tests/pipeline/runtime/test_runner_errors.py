"""Errors of parts: the run ends with the first, keeps what was finished, and closes everything."""

from typing import TYPE_CHECKING, Any

import pytest

from hamba_core.errors import BrokenSourceError, OutputError, SourceError
from pipeline.runtime.runner import RuntimeSettings

if TYPE_CHECKING:
    from tests.pipeline.conftest import Rig

FOREVER = 10**9


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
