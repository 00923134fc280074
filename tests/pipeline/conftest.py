"""Parts for runs that go wrong on purpose, and a rig that drives such runs on a simulated clock."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from hamba_core.view import Intrinsics
from pipeline.runtime import Runner
from pipeline.runtime.clock import Clock, SimulatedClock
from stages.contract import Sink, Source, Stage
from stages.packets import (
    ClockAnchor,
    Frame,
    FrameMeta,
    FrameResult,
    HandTopology,
    RunInfo,
    SourceInfo,
    StageStatus,
    Status,
)

Action = Callable[[int], object]

CAMERA = Intrinsics.estimate(2, 2)
PICTURE = np.zeros((2, 2, 3), np.uint8)
PATIENCE = 30.0  # s of real time after which a run that should be over counts as hung


class Part:
    """What the fake parts share: a log of calls, and actions that a test hangs on them."""

    def __init__(self, rig: "Rig", name: str) -> None:
        self.rig, self.name = rig, name
        self.actions: dict[str, Action] = {}
        self.log: list[str] = []
        self.threads: set[int] = set()

    def on(self, call: str, action: Action) -> None:
        """Do this in each such call, before anything else; it gets the index of the frame, or -1."""
        self.actions[call] = action

    def called(self, call: str, index: int = -1) -> None:
        self.log.append(call)
        self.threads.add(threading.get_ident())
        self.rig.calls[self.name] += 1
        if call in self.actions:
            self.actions[call](index)


class FakeSource(Part, Source):
    """Gives `count` frames; those after the first `eager` ones only when nothing is in flight any more."""

    def __init__(self, rig: "Rig", count: int, eager: int) -> None:
        Part.__init__(self, rig, "source")
        self.count, self.eager = count, eager

    def open(self) -> SourceInfo:
        self.called("open")
        return SourceInfo("fake", "synthetic", False, 2, 2, None, self.count, CAMERA)

    def frames(self) -> Iterator[Frame | None]:
        for index in range(self.count):
            while index >= self.eager and any(stage.in_flight for stage in self.rig.status().stages):
                self.rig.calls[self.name] += 1
                time.sleep(0.0005)
                yield None
            self.called("frame", index)
            yield self.rig.frame(index)

    def close(self) -> None:
        self.called("close")


class FakeStage(Part, Stage[Frame, Any]):
    """Passes frames on; the last one makes results of them. What is begun is done when it is waited for."""

    def __init__(self, rig: "Rig", name: str, last: bool, batch: int = 1, in_flight: int = 1) -> None:
        Part.__init__(self, rig, name)
        self.last, self.batch, self.in_flight = last, batch, in_flight
        self.begun: list[list[int]] = []  # the frames of each batch
        self.finished = self.most_under_way = 0

    def open(self) -> None:
        self.called("open")

    def process(self, packet: Frame) -> Any:
        self.called("process", packet.meta.index)
        return FrameResult(packet.meta, (), {}, packet.image) if self.last else packet

    def begin(self, packets: Sequence[Frame]) -> Callable[[], Sequence[Any]]:
        batch = [packet.meta.index for packet in packets]
        self.called("begin", batch[0])
        self.begun.append(batch)
        self.most_under_way = max(self.most_under_way, len(self.begun) - self.finished)

        def finish() -> list[Any]:
            assert batch == self.begun[self.finished], "the oldest is waited for first"
            self.finished += 1
            return self.process_many(packets)  # type: ignore[return-value]

        return finish

    def close(self) -> None:
        self.called("close")


class FakeSink(Part, Sink):
    """Keeps the results and everything it is told."""

    def __init__(self, rig: "Rig", name: str) -> None:
        Part.__init__(self, rig, name)
        self.results: list[FrameResult] = []
        self.told: list[Status] = []
        self.run_info: RunInfo | None = None

    def open(self, run: RunInfo) -> None:
        self.run_info = run
        self.called("open")

    def write(self, result: FrameResult) -> None:
        self.called("write", result.frame.index)
        self.results.append(result)

    def status(self, status: Status) -> None:
        self.called("status")
        self.told.append(status)

    def close(self) -> None:
        self.called("close")

    @property
    def indices(self) -> list[int]:
        return [result.frame.index for result in self.results]


class Rig:
    """A pipeline of fakes, the run of it in a thread, and what must hold whatever went wrong."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.calls: Counter[str] = Counter()
        self.released = threading.Event()
        self.happened = threading.Event()  # set by a test's action
        self.blocked: str | None = None  # the part that blocks
        self.news = 0  # how often on_status was called
        self.runner: Runner
        self.source: FakeSource
        self.stages: list[FakeStage]
        self.sinks: list[FakeSink]
        self.error: BaseException | None = None
        self._thread: threading.Thread | None = None

    def build(
        self,
        *,
        count: int = 5,
        eager: int | None = None,
        stages: int = 3,
        sinks: int = 2,
        batches: Sequence[int] = (),
        in_flight: Sequence[int] = (),
        **options: Any,
    ) -> Runner:
        """A runner over a source of `count` frames, `eager` of them (all) at once; stages are called s0, s1..."""
        self.source = FakeSource(self, count, count if eager is None else eager)
        sizes, ahead = ([*given, *[1] * (stages - len(given))] for given in (batches, in_flight))
        self.stages = [FakeStage(self, f"s{i}", i == stages - 1, sizes[i], ahead[i]) for i in range(stages)]
        self.sinks = [FakeSink(self, f"k{i}") for i in range(sinks)]
        options.setdefault("run_info", self.run_info)
        options.setdefault("on_status", self.count_news)
        self.runner = Runner(self.source, self.stages, self.sinks, clock=self.clock, **options)
        return self.runner

    @property
    def parts(self) -> list[Part]:
        return [self.source, *self.stages, *self.sinks]

    def part(self, name: str) -> Part:
        return next(part for part in self.parts if part.name == name)

    def status(self) -> Status:
        return self.runner.status()

    def stage_status(self, name: str) -> StageStatus:
        return next(stage for stage in self.status().stages if stage.name == name)

    def frame(self, index: int) -> Frame:
        return Frame(FrameMeta("hands", index, index / 30, self.clock.now_ns(), 2, 2, CAMERA), PICTURE)

    @staticmethod
    def run_info(source: SourceInfo) -> RunInfo:
        none = np.zeros((0, 3), np.int32)
        return RunInfo("hands", source, HandTopology("none", 0, none, none), "none", ClockAnchor(0, 0), {}, {})

    def advance(self, seconds: float) -> None:
        """Move simulated time on."""
        assert isinstance(self.clock, SimulatedClock)
        self.clock.advance(seconds)

    def let_time_pass(self, seconds: float) -> None:
        """Move simulated time on, and wait until the runner has looked at what takes too long by then."""
        for step in (seconds, 1.0):
            news = self.news
            self.advance(step)
            self.until(lambda news=news: self.news > news)  # type: ignore[misc]

    def count_news(self, status: Status) -> None:
        self.news += 1

    def block(self, index: int = -1) -> None:
        """Block the calling part until the test is over."""
        name = threading.current_thread().name.removeprefix("hamba ")
        self.blocked = name
        self.happened.set()
        self.released.wait()

    @staticmethod
    def until(condition: Callable[[], bool]) -> None:
        """Wait in real time for something that is about to happen."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail("waited in vain")
            time.sleep(0.0005)

    def start(self) -> None:
        """Call `run` in a thread."""

        def run() -> None:
            try:
                self.runner.run()
            except BaseException as error:  # noqa: BLE001 - a test looks at it
                self.error = error

        self._thread = threading.Thread(target=run, name="runner", daemon=True)
        self._thread.start()

    def finish(self, step: float = 0.0) -> Status:
        """Wait for the end of the run; simulated time goes on by steps while nothing but the blocked part is busy."""
        if self._thread is None:
            self.start()
        thread, deadline = self._thread, time.monotonic() + PATIENCE
        assert thread is not None
        while thread.is_alive():
            if step and isinstance(self.clock, SimulatedClock):
                self._wait_for_others(thread)
                self.clock.advance(step)
            thread.join(0.002 if step else PATIENCE)
            if time.monotonic() > deadline:
                pytest.fail(f"the run hangs: {self.status()}")
        report = self.runner.report
        assert report is not None
        return report

    def _wait_for_others(self, thread: threading.Thread) -> None:
        """Until each part but the blocked one is between calls or in another one than it was."""
        calls = self.calls.copy()

        def moved_on() -> bool:
            in_call = self.runner.calls().keys() - {self.blocked}
            return not thread.is_alive() or all(self.calls[name] != calls[name] for name in in_call)

        self.until(moved_on)

    def check(self, report: Status, abandoned: str | None = None) -> None:
        """What holds at the end of every run."""
        books = {stage.name: stage for stage in report.stages}
        for stage in report.stages:
            assert stage.received == stage.emitted + sum(stage.dropped.values()), stage
            assert stage.in_flight == stage.queue_depth == 0
            assert stage.queue_peak <= stage.queue_capacity
        line = [self.source.name, *(stage.name for stage in self.stages)]
        for before, after in pairwise(line):
            assert books[before].emitted == books[after].received
        for sink in self.sinks:
            assert books[sink.name].received == books[line[-1]].emitted == report.frames
            assert sink.indices == sorted(set(sink.indices))
            if sink.name != abandoned:
                assert books[sink.name].emitted == len(sink.results)
        for part in self.parts:
            assert len(part.threads) <= 1
            if part.name != abandoned:
                assert part.log.count("close") == part.log.count("open") <= 1
                assert "close" not in part.log[:-1]
        alive = {thread.name for thread in threading.enumerate() if thread.name.startswith("hamba ")}
        assert alive == ({f"hamba {abandoned}"} if abandoned else set())
        assert self.runner.abandoned == ((abandoned,) if abandoned else ())

    def check_sinks_were_told(self, state: str, *, but: str | None = None) -> None:
        """Every open sink was told the final state, once, just before it was closed."""
        for sink in self.sinks:
            if sink.name != but and "open" in sink.log:
                assert [status.state for status in sink.told].count(state) == 1
                assert sink.told[-1].state == state
                assert sink.log[-2:] == ["status", "close"]

    def tear_down(self) -> None:
        """Let everything go that blocks, and wait until all is gone."""
        self.released.set()
        if self._thread is not None:
            self.runner.stop()
            self._thread.join(PATIENCE)
        for thread in threading.enumerate():
            if thread.name.startswith("hamba "):
                thread.join(PATIENCE)


@pytest.fixture(scope="session")
def rig_type() -> type[Rig]:
    """The rig's class, for tests that need several of them."""
    return Rig


@pytest.fixture
def rig() -> Iterator[Rig]:
    """A rig on a simulated clock."""
    made = Rig(SimulatedClock())
    yield made
    made.tear_down()
