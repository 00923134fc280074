"""A stage with several batches under way: how many, in which order, and what becomes of them when something fails."""

import re
from typing import TYPE_CHECKING

import pytest

from hamba_core.errors import PipelineError, StuckStageError
from pipeline.runtime.runner import Mode, RuntimeSettings
from stages.contract import EndOfStream, Stage

if TYPE_CHECKING:
    from tests.pipeline.conftest import Rig


def wait_for_all_to_queue(rig: "Rig", at: int = 0) -> None:
    """Before the second stage begins on this frame, all that there will be wait behind it."""

    def begin(index: int) -> None:
        if index == at:
            rig.until(lambda: rig.stage_status("s1").received == rig.source.count)

    rig.stages[1].on("begin", begin)


@pytest.mark.parametrize("in_flight", [2, 3])
def test_while_packets_wait_as_many_batches_as_allowed_are_under_way_and_no_more(rig: "Rig", in_flight: int) -> None:
    rig.build(count=4, stages=2, in_flight=[1, in_flight])
    wait_for_all_to_queue(rig)
    rig.check(rig.finish())
    assert rig.stages[1].most_under_way == in_flight
    begun_first = ["begin"] * in_flight
    in_turn = ["process", "begin"] * (4 - in_flight)
    assert rig.stages[1].log == ["open", *begun_first, *in_turn, *["process"] * in_flight, "close"]
    assert rig.sinks[0].indices == list(range(4))


def test_a_batch_is_not_held_back_where_nothing_waits(rig: "Rig") -> None:
    """Each frame comes when the one before has left: a stage that waited for the next one would wait for ever."""
    rig.build(count=20, eager=0, in_flight=[2, 3, 2])
    rig.check(rig.finish())
    assert [stage.most_under_way for stage in rig.stages] == [1, 1, 1]
    assert rig.sinks[0].indices == list(range(20))


def test_what_waits_goes_into_one_batch_here_too(rig: "Rig") -> None:
    rig.build(count=7, stages=2, batches=[1, 3], in_flight=[1, 2], settings=RuntimeSettings(capacity=7))
    wait_for_all_to_queue(rig)
    rig.check(rig.finish())
    first, second, *_ = rig.stages[1].begun
    assert len(first) <= len(second) == 3
    assert rig.stages[1].most_under_way == 2
    assert rig.sinks[0].indices == list(range(7))


def test_a_packets_time_is_from_begin_to_finish(rig: "Rig") -> None:
    rig.build(count=2, stages=2, in_flight=[1, 2])
    wait_for_all_to_queue(rig)
    rig.stages[1].on("process", lambda index: rig.advance(0.010))
    rig.finish()
    assert [result.stage_ns["s1"] for result in rig.sinks[0].results] == [10_000_000, 20_000_000]


@pytest.mark.parametrize("call", ["begin", "process"])
def test_live_a_failing_batch_loses_its_own_frames_only(rig: "Rig", call: str) -> None:
    rig.build(count=40, eager=0, mode="live", in_flight=[1, 2])

    def fail(index: int) -> None:
        if index % 3 == 1:
            raise ValueError(index)

    rig.stages[1].on(call, fail)
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert report.errors == {"s1: ValueError": 13}
    assert rig.sinks[0].indices == [index for index in range(40) if index % 3 != 1]


@pytest.mark.parametrize("call", ["begin", "process"])
def test_offline_what_was_begun_before_the_failing_batch_arrives_and_what_is_behind_it_is_dropped(
    rig: "Rig", call: str
) -> None:
    rig.build(count=4, stages=2, in_flight=[1, 3])
    error = ValueError("broken")

    def fail(index: int) -> None:
        if index == 0 and call == "begin":
            rig.until(lambda: rig.stage_status("s1").received == 4)
        if index == 1:
            raise error

    rig.stages[1].on("begin", fail)
    if call == "process":
        wait_for_all_to_queue(rig)
        rig.stages[1].on("process", fail)
    report = rig.finish()
    rig.check(report)
    assert rig.error is error
    assert rig.sinks[0].indices == [0]
    dropped = next(stage for stage in report.stages if stage.name == "s1").dropped
    assert dropped["error"] == 1
    assert set(dropped) == {"error", "run ended"}
    rig.check_sinks_were_told("failed")


def test_a_stage_that_needs_no_more_ends_the_run_when_its_turn_comes(rig: "Rig") -> None:
    rig.build(count=4, stages=2, in_flight=[1, 3])
    wait_for_all_to_queue(rig)

    def enough(index: int) -> None:
        if index == 2:
            raise EndOfStream

    rig.stages[1].on("process", enough)
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert rig.sinks[0].indices == [0, 1]
    assert report.reason == "s1 needed no more"


@pytest.mark.parametrize("mode", ["offline", "live"])
def test_when_the_run_is_stopped_what_is_under_way_is_finished(rig: "Rig", mode: Mode) -> None:
    rig.build(count=10**9, mode=mode, in_flight=[2, 2, 2])
    rig.start()
    rig.until(lambda: len(rig.sinks[0].results) > 5)
    rig.runner.stop()
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    for stage in report.stages:
        assert set(stage.dropped) <= {"replaced by newer"}


@pytest.mark.parametrize("in_flight", [1, 2, 4])
def test_live_no_more_frames_are_in_the_line_than_allowed(rig: "Rig", in_flight: int) -> None:
    rig.build(count=300, mode="live", in_flight=[3, 3, 3], settings=RuntimeSettings(in_flight=in_flight))
    rig.check(rig.finish())
    assert all(1 <= stage.most_under_way <= in_flight for stage in rig.stages)


@pytest.mark.parametrize("call", ["begin", "process"])
def test_a_batch_that_hangs_is_given_up_with_all_that_is_under_way(rig: "Rig", call: str) -> None:
    rig.build(count=4, stages=2, in_flight=[1, 2], settings=RuntimeSettings(grace=60, stall=60))
    if call == "process":
        wait_for_all_to_queue(rig)
    rig.stages[1].on(call, lambda index: rig.block() if index == 1 else None)
    rig.start()
    rig.until(rig.happened.is_set)
    report = rig.finish(step=20)
    rig.check(report, abandoned="s1")
    assert isinstance(rig.error, StuckStageError)
    assert ("begin" if call == "begin" else "finish") in str(rig.error)
    dropped = next(stage for stage in report.stages if stage.name == "s1").dropped
    assert dropped["abandoned"] >= 2


def test_a_batch_that_comes_back_short_is_an_error_that_says_so(rig: "Rig") -> None:
    rig.build(count=1, stages=2, in_flight=[1, 2])
    rig.stages[1].begin = lambda packets: list  # type: ignore[method-assign]
    rig.check(rig.finish())
    assert isinstance(rig.error, PipelineError)
    assert re.search("begin.*1 packets.*found 0", str(rig.error))


def test_a_stage_without_a_begin_of_its_own_works_at_once(rig: "Rig") -> None:
    rig.build(count=10, stages=2, in_flight=[1, 2])
    stage = rig.stages[1]
    stage.begin = lambda packets: Stage.begin(stage, packets)  # type: ignore[method-assign]
    rig.check(rig.finish())
    assert rig.sinks[0].indices == list(range(10))
