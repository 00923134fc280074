"""Live runs: what is dropped, what is kept, what a failing frame does."""

import logging
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import pytest

from hamba_core.errors import OutputError
from pipeline.runtime.runner import RuntimeSettings, SinkPolicy
from stages.packets import Frame

if TYPE_CHECKING:
    from tests.pipeline.conftest import Rig


def test_a_slow_stage_gets_the_newest_frame_and_the_entrance_drops_the_others(rig: "Rig") -> None:
    rig.build(count=200, mode="live", settings=RuntimeSettings(in_flight=2))

    def slow(index: int) -> None:
        received = rig.stage_status("source").received
        rig.until(lambda: rig.stage_status("source").received >= min(200, received + 20))

    rig.stages[1].on("process", slow)
    report = rig.finish()
    rig.check(report)
    s0, s1, s2 = (stage for stage in report.stages if stage.name in ("s0", "s1", "s2"))
    assert s0.dropped["replaced by newer"] > 150
    assert not s1.dropped
    assert not s2.dropped
    assert report.frames == s0.emitted
    assert rig.sinks[0].indices[-1] == 199  # the last frame is the newest there will be


@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_no_more_frames_are_in_the_line_than_allowed(rig: "Rig", in_flight: int) -> None:
    rig.build(count=300, mode="live", settings=RuntimeSettings(in_flight=in_flight))
    entered: list[int] = []
    most: list[int] = []

    def enter(index: int) -> None:
        entered.append(index)
        most.append(len(entered) - rig.status().frames)

    rig.stages[0].on("process", enter)
    rig.check(rig.finish())
    assert 1 <= max(most) <= in_flight


def test_a_frame_that_aged_in_the_line_gives_way_to_a_newer_one(rig: "Rig") -> None:
    rig.build(count=10**9, mode="live", settings=RuntimeSettings(in_flight=3, max_age=0.5))

    def hang(index: int) -> None:
        if not rig.happened.is_set():
            rig.until(lambda: rig.stage_status("s1").queue_depth == 2)
            rig.happened.set()
            rig.advance(1)

    rig.stages[1].on("process", hang)
    rig.start()
    rig.until(lambda: len(rig.sinks[0].results) > 3)
    rig.runner.stop()
    report = rig.finish()
    rig.check(report)
    dropped = next(stage for stage in report.stages if stage.name == "s1").dropped
    assert set(dropped) == {"too old"}  # the older of those two, and perhaps one that was at the entrance meanwhile


def test_a_blocked_sink_slows_nobody_and_drops_the_oldest(rig: "Rig") -> None:
    policies = {"k0": SinkPolicy("latest", 1), "k1": SinkPolicy("latest", 64)}
    rig.build(count=60, mode="live", sink_policies=policies)
    # Frames come one at a time, so that no stage drops any.
    rig.source.on("frame", lambda index: rig.until(lambda: len(rig.sinks[1].results) >= index))
    rig.sinks[0].on("write", lambda index: None if rig.happened.is_set() else rig.block())
    rig.start()
    rig.until(lambda: len(rig.sinks[1].results) == 60)
    assert rig.sinks[0].indices == []
    rig.released.set()
    report = rig.finish()
    rig.check(report)
    assert rig.sinks[1].indices == list(range(60))
    assert len(rig.sinks[0].indices) == 2
    assert rig.sinks[0].indices[-1] == 59
    assert next(stage for stage in report.stages if stage.name == "k0").dropped == {"replaced by newer": 58}


def test_failing_frames_are_counted_and_logged_once_a_kind(rig: "Rig", caplog: pytest.LogCaptureFixture) -> None:
    rig.build(count=20, eager=0, mode="live")

    def fail(index: int) -> None:
        if index % 2:
            raise ValueError(index) if index % 4 == 1 else KeyError(index)

    rig.stages[1].on("process", fail)
    with caplog.at_level(logging.WARNING, "pipeline"):
        report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert report.state == "ended"
    assert report.errors == {"s1: ValueError": 5, "s1: KeyError": 5}
    assert rig.sinks[0].indices == list(range(0, 20, 2))
    assert len(caplog.records) == 2


def test_a_failing_write_costs_that_sink_a_frame_and_nobody_else(rig: "Rig") -> None:
    rig.build(count=20, eager=0, mode="live")

    def fail(index: int) -> None:
        if index == 3:
            raise OSError("busy")

    rig.sinks[0].on("write", fail)
    report = rig.finish()
    rig.check(report)
    assert report.errors == {"k0: OSError": 1}
    assert rig.sinks[0].indices == [i for i in range(20) if i != 3]
    assert rig.sinks[1].indices == list(range(20))


@pytest.mark.parametrize("name", ["s0", "s2", "k1"])
def test_too_many_failures_in_a_row_end_the_run_with_the_last_one(rig: "Rig", name: str) -> None:
    rig.build(count=100, eager=0, mode="live", settings=RuntimeSettings(max_consecutive_failures=5))
    errors: list[Exception] = []

    def fail(index: int) -> None:
        # Four failures in a row are forgiven, again and again; from frame 51 on every one fails.
        if index > 50 or index % 5:
            errors.append(ValueError(index))
            raise errors[-1]

    rig.part(name).on("write" if name == "k1" else "process", fail)
    report = rig.finish()
    rig.check(report)
    assert rig.error is errors[-1]
    assert errors[-1].args == (55,)
    assert report.state == "failed"
    assert "gave up after 5 failures in a row" in rig.error.__notes__[0]
    rig.check_sinks_were_told("failed")


def test_news_that_a_sink_fails_on_are_an_error_like_others(rig: "Rig") -> None:
    rig.build(count=10**9, eager=0, mode="live")

    def fail(index: int) -> None:
        if not rig.happened.is_set():
            rig.happened.set()
            raise ValueError

    rig.sinks[0].on("status", fail)
    rig.start()
    rig.until(lambda: len(rig.sinks[0].results) > 3)
    rig.advance(1)
    rig.until(rig.happened.is_set)
    rig.runner.stop()
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert report.errors == {"k0: ValueError": 1}


def test_memory_stays_bounded_while_a_stage_and_a_sink_are_slow(rig: "Rig") -> None:
    rig.build(count=3000, mode="live", settings=RuntimeSettings(capacity=4, in_flight=2))
    alive: WeakSet[Frame] = WeakSet()
    most: list[int] = []
    make_frame = rig.frame

    def frame(index: int) -> Frame:
        made = make_frame(index)
        alive.add(made)
        return made

    def look(index: int) -> None:
        received = rig.stage_status("source").received
        rig.until(lambda: rig.stage_status("source").received >= min(3000, received + 500))
        most.append(len(alive))

    rig.frame = frame  # type: ignore[method-assign]
    rig.stages[0].on("process", look)
    rig.check(rig.finish())
    # In the hands of the source and of its generator, at the entrance, and in the line. Results hold no frames.
    assert 1 <= max(most) <= 2 + 1 + 2


def test_a_spare_sink_that_cannot_write_ends_alone_and_the_others_go_on(
    rig: "Rig", caplog: pytest.LogCaptureFixture
) -> None:
    rig.build(count=10**6, mode="live", settings=RuntimeSettings(max_consecutive_failures=1))
    full, other = rig.sinks[0], rig.sinks[1]
    full.spare = True

    def fail(index: int) -> None:
        if index >= 5:
            raise OutputError("hands.mcap: expected to be able to write, found: No space left on device")

    full.on("write", fail)
    rig.start()
    rig.until(lambda: any(choice.subject == full.name for choice in rig.status().choices))
    seen = len(other.results)
    rig.until(lambda: len(other.results) > seen + 50)
    rig.runner.stop()
    report = rig.finish()
    assert isinstance(rig.error, OutputError)  # so that the command's exit status tells, once all is done
    assert report.state == "stopped"
    choice = next(choice for choice in report.choices if choice.subject == full.name)
    assert choice.fallback
    assert "No space left" in choice.reason
    assert "goes on without it" in caplog.text
    assert full.log[-1] == other.log[-1] == "close"
    assert other.told[-1].state == "stopped"


@pytest.mark.parametrize("mode", ["live", "offline"])
def test_the_last_sink_that_is_not_spare_ends_the_run_and_so_does_any_offline(rig: "Rig", mode: Any) -> None:
    rig.build(count=10**6 if mode == "live" else 50, mode=mode, settings=RuntimeSettings(max_consecutive_failures=3))
    for sink in rig.sinks if mode == "live" else rig.sinks[:1]:
        sink.spare = True

    def fail(index: int) -> None:
        raise OutputError("full")

    rig.sinks[0].on("write", fail)
    assert rig.finish().state == "failed"
    assert isinstance(rig.error, OutputError)


def test_what_a_source_left_out_itself_is_counted_among_its_drops(rig: "Rig") -> None:
    rig.build(count=50, mode="live")
    given_ = iter(range(1, 1000))
    rig.source.skipped = lambda: {"behind": 3 * next(given_), "not decoded": 7}  # type: ignore[method-assign]
    report = rig.finish()
    source = next(part for part in report.stages if part.name == "source")
    assert source.dropped["not decoded"] == 7
    assert source.dropped["behind"] >= 3 * 50
    assert source.emitted == 50
    assert source.received == source.emitted + sum(source.dropped.values())


def test_a_source_is_told_whether_its_frames_are_replaced(rig: "Rig") -> None:
    rig.build(count=60, mode="live", settings=RuntimeSettings(in_flight=1))
    told: list[bool] = []
    rig.source.outpaced = lambda replaced: told.append(replaced)  # type: ignore[method-assign]
    rig.stages[0].on("process", lambda index: rig.until(lambda: len(told) >= 50))
    report = rig.finish()
    replaced = next(part for part in report.stages if part.name == "s0").dropped["replaced by newer"]
    assert len(told) == 60
    assert sum(told) == replaced
    assert sum(told[:50]) > 40
