"""What a run gives: results in order, times, news of its state, and a report."""

from collections.abc import Sequence
from itertools import chain
from threading import Barrier, current_thread
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from hamba_core.errors import ConfigurationError, PipelineError
from pipeline.benchmarks.overhead import measure_runtime_overhead
from pipeline.runtime.runner import Mode, Runner, RuntimeSettings, SinkPolicy
from stages.packets import Choice, Frame, FrameResult, Status

if TYPE_CHECKING:
    from tests.pipeline.conftest import Rig


def test_every_frame_reaches_every_sink_in_order(rig: "Rig") -> None:
    rig.build(count=50)
    report = rig.finish()
    assert rig.error is None
    rig.check(report)
    assert (report.state, report.reason) == ("ended", "the source ended")
    assert report.frames == 50
    assert [sink.indices for sink in rig.sinks] == [list(range(50))] * 2
    rig.check_sinks_were_told("ended")


def test_each_part_is_opened_worked_and_closed_in_one_thread_of_its_own(rig: "Rig") -> None:
    rig.build()
    rig.check(rig.finish())
    threads = [part.threads for part in rig.parts]
    assert all(len(of_part) == 1 for of_part in threads)


def test_sinks_are_opened_when_source_and_stages_are_open_and_told_about_them(rig: "Rig") -> None:
    rig.build()
    opened: list[str] = []
    for part in rig.parts:
        part.on("open", lambda index: opened.append(current_thread().name.removeprefix("hamba ")))
    rig.finish()
    assert set(opened[:4]) == {"source", "s0", "s1", "s2"}
    assert set(opened[4:]) == {"k0", "k1"}
    for sink in rig.sinks:
        assert sink.run_info is not None
        assert sink.run_info.source.name == "fake"
        assert sink.run_info.topology.name == "none"


def test_source_and_stages_are_opened_in_parallel(rig: "Rig") -> None:
    rig.build()
    together = Barrier(4)
    for part in (rig.source, *rig.stages):
        part.on("open", lambda index: together.wait(30))
    rig.finish()
    assert rig.error is None


def test_a_result_has_the_time_of_each_stage(rig: "Rig") -> None:
    rig.build(count=3)
    rig.stages[1].on("process", lambda index: rig.advance(0.010 * (index + 1)))
    rig.finish()
    for index, result in enumerate(rig.sinks[0].results):
        assert set(result.stage_ns) == {"s0", "s1", "s2"}
        assert result.stage_ns["s1"] == 10_000_000 * (index + 1)
        assert result.image is not None


def test_times_that_a_result_brings_along_are_kept(rig: "Rig") -> None:
    rig.build(count=1, stages=1)

    def process(packet: Frame) -> FrameResult:
        return FrameResult(packet.meta, (), {"inside": 5})

    rig.stages[0].process = process  # type: ignore[method-assign]
    rig.finish()
    assert rig.sinks[0].results[0].stage_ns["inside"] == 5


def test_latency_is_from_capture_to_the_end_of_the_last_stage(rig: "Rig") -> None:
    rig.build(count=4, eager=0)
    rig.stages[2].on("process", lambda index: rig.advance(0.25))
    rig.sinks[0].on("write", lambda index: rig.advance(0.5))
    report = rig.finish()
    assert report.latency.p50 == pytest.approx(250, rel=0.02)


def test_a_stage_gets_what_waits_as_one_batch_and_each_packet_its_share_of_the_time(rig: "Rig") -> None:
    rig.build(count=20, batches=[1, 4], settings=RuntimeSettings(capacity=2))
    batches: list[list[int]] = []

    def take(packets: Sequence[Frame]) -> list[Any]:
        if not batches:
            rig.until(lambda: rig.stage_status("s1").queue_depth == 4)
        batches.append([packet.meta.index for packet in packets])
        rig.advance(0.004)
        return list(packets)

    rig.stages[1].process_many = take  # type: ignore[method-assign]
    rig.stages[1].process = lambda packet: take([packet])[0]  # type: ignore[method-assign]
    report = rig.finish()
    rig.check(report)
    after_first = len(batches[0])
    assert batches[1] == list(range(after_first, after_first + 4))
    assert list(chain.from_iterable(batches)) == rig.sinks[0].indices == list(range(20))
    for batch in batches:
        assert {rig.sinks[0].results[i].stage_ns["s1"] for i in batch} == {4_000_000 // len(batch)}


def test_a_batch_that_comes_back_short_is_an_error_that_says_so(rig: "Rig") -> None:
    rig.build(count=9, batches=[4])

    def first(index: int) -> None:
        if index == 0:
            rig.until(lambda: rig.stage_status("s0").queue_depth == 4)

    rig.stages[0].on("process", first)
    rig.stages[0].process_many = lambda packets: list(packets)[1:]  # type: ignore[method-assign]
    rig.check(rig.finish())
    assert isinstance(rig.error, PipelineError)
    assert "process_many to give 4 packets" in str(rig.error)


def test_a_last_stage_that_gives_no_results_is_an_error_that_says_so(rig: "Rig") -> None:
    rig.build()
    rig.stages[2].process = lambda packet: packet  # type: ignore[method-assign]
    rig.check(rig.finish())
    assert isinstance(rig.error, PipelineError)
    assert "s2: expected the last stage to give FrameResult, found Frame" in str(rig.error)


def test_news_come_once_a_second_to_everyone_and_once_more_at_the_end(rig: "Rig") -> None:
    news: list[Status] = []
    runner = rig.build(count=10**9, eager=0, on_status=news.append)
    rig.start()
    for second in range(1, 4):
        rig.until(lambda: len(rig.sinks[0].results) > 5)
        rig.advance(1)
        rig.until(lambda: [len(sink.told) for sink in rig.sinks] == [second] * 2)  # noqa: B023 - called at once
    runner.stop()
    report = rig.finish()
    assert [status.state for status in news] == ["running"] * 3 + ["stopped"]
    for sink in rig.sinks:
        assert [status.state for status in sink.told] == ["running"] * 3 + ["stopped"]
    assert news[-1] is report is runner.report
    assert news[0].frames > 5
    assert news[0].reason == ""
    assert news[2].elapsed == 3


def test_the_state_can_be_asked_for_at_any_time(rig: "Rig") -> None:
    runner = rig.build(count=3)
    assert runner.status().state == "running"
    assert runner.report is None
    report = rig.finish()
    assert runner.status() is report


@pytest.mark.parametrize("mode", ["offline", "live"])
def test_the_books_balance_at_every_moment(rig: "Rig", mode: Mode) -> None:
    rig.build(count=10**9, mode=mode)
    rig.start()
    rig.until(lambda: len(rig.sinks[0].results) > 0)
    for _ in range(100):
        for stage in rig.status().stages:
            assert stage.received == stage.emitted + sum(stage.dropped.values()) + stage.in_flight
            assert stage.queue_depth <= stage.queue_peak <= stage.queue_capacity
    rig.runner.stop()
    rig.check(rig.finish())


def test_choices_are_asked_for_after_opening_and_at_the_end(rig: "Rig") -> None:
    rig.build(count=10**9)
    early, late = Choice("device", "cuda", "there is one"), Choice("device", "cpu", "it was lost", fallback=True)
    rig.stages[1].choices = lambda: (late if "process" in rig.stages[1].log else early,)  # type: ignore[method-assign]
    rig.sinks[0].choices = lambda: (Choice("codec", "zstd", "smaller"),)  # type: ignore[method-assign]
    rig.stages[0].on("process", lambda index: rig.block() if index == 0 else None)
    rig.start()
    rig.until(rig.happened.is_set)
    assert [choice.chosen for choice in rig.status().choices] == ["cuda", "zstd"]
    rig.released.set()
    rig.until(lambda: len(rig.sinks[0].results) > 0)
    rig.runner.stop()
    assert [choice.chosen for choice in rig.finish().choices] == ["cpu", "zstd"]


def test_frames_out_of_order_are_an_error_of_the_source(rig: "Rig") -> None:
    rig.build(count=5)
    rig.source.frames = lambda: iter([rig.frame(0), rig.frame(2), rig.frame(1)])  # type: ignore[method-assign]
    report = rig.finish()
    rig.check(report)
    assert isinstance(rig.error, PipelineError)
    assert "source: expected rising indices and time stamps, found frame 1" in str(rig.error)
    assert rig.sinks[0].indices == [0, 2]


def test_a_source_that_tells_nothing_of_itself_is_an_error_before_any_frame(rig: "Rig") -> None:
    rig.build()
    rig.source.open = lambda: None  # type: ignore[method-assign, assignment, return-value]
    report = rig.finish()
    assert report.frames == 0
    assert isinstance(rig.error, PipelineError)
    assert "SourceInfo" in str(rig.error)
    assert not rig.sinks[0].log


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stages": 0}, "expected at least one"),
        ({"mode": "fast"}, "expected one of offline, live, found 'fast'"),
        ({"sink_policies": {"k9": SinkPolicy("latest", 1)}}, r"expected names of sinks \(k0, k1\), found 'k9'"),
        ({"sink_policies": {"k0": SinkPolicy("block", 1)}, "mode": "live"}, "expected 'latest' in a live run"),
    ],
)
def test_parts_that_make_no_pipeline_are_refused(rig: "Rig", options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        rig.build(**options)


def test_two_parts_of_one_name_are_refused(rig: "Rig") -> None:
    rig.build()
    rig.sinks[0].name = "s1"
    with pytest.raises(ConfigurationError, match="found s1 more than once"):
        Runner(rig.source, rig.stages, rig.sinks, run_info=rig.run_info)


def test_a_policy_without_room_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="capacity >= 1"):
        SinkPolicy("latest", 0)


def test_a_runner_runs_once(rig: "Rig") -> None:
    runner = rig.build()
    rig.finish()
    with pytest.raises(PipelineError, match="make a new Runner"):
        runner.run()


def test_a_run_without_sinks_is_a_run(rig: "Rig") -> None:
    rig.build(count=7, sinks=0)
    report = rig.finish()
    rig.check(report)
    assert report.frames == 7


def test_a_slow_sink_offline_holds_the_source_up_and_memory_stays_bounded(rig: "Rig") -> None:
    rig.build(count=10**9, settings=RuntimeSettings(capacity=2))
    rig.sinks[0].on("write", lambda index: rig.block() if index == 0 else None)
    rig.start()
    rig.until(rig.happened.is_set)
    rig.until(lambda: rig.stage_status("s0").queue_depth == 2)
    held = rig.stage_status("source").received
    assert held <= 3 * (2 + 1) + 2 + 1 + 1  # three stages, each with a queue and a packet in hand; the sink; the source
    rig.released.set()
    rig.runner.stop()
    rig.check(rig.finish())


def test_packets_are_shared_not_copied(rig: "Rig") -> None:
    rig.build(count=2)
    rig.finish()
    first, second = (sink.results[0].image for sink in rig.sinks)
    assert first is not None
    assert second is not None
    assert np.shares_memory(first, second)


def test_the_runtimes_own_cost_is_measured() -> None:
    cost = measure_runtime_overhead(frames=50, repeats=1)
    assert 0 < cost < 1e6
