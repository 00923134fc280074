"""This benchmark tells what the runtime itself costs, with a pipeline whose parts do nothing."""

import time
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any

import numpy as np

from hamba_core.view import Intrinsics
from pipeline.runtime import Runner
from stages.contract import Sink, Source, Stage
from stages.packets import ClockAnchor, Frame, FrameMeta, FrameResult, HandTopology, RunInfo, SourceInfo

STAGES = 4


def measure_runtime_overhead(frames: int = 1000, repeats: int = 12) -> float:
    """Return the microseconds that the runtime spends on a frame for each stage and sink that it passes.

    It is the processor time of all threads, waking them included: frames go offline through four stages and a sink that
    do nothing. They flow in two ways, which cost different things: as fast as the channels take them, and one at a
    time, where each part has to be woken for each frame. The dearer way is returned. Of each way the best of `repeats`
    runs counts, since other work on the machine can only add.
    """
    return max(min(_run(frames, one_at_a_time) for _ in range(repeats)) for one_at_a_time in (False, True))


def _run(count: int, one_at_a_time: bool) -> float:
    camera = Intrinsics(1, 1, 0, 0)
    picture = np.zeros((1, 1, 3), np.uint8)
    now = time.monotonic_ns()
    # All packets are made beforehand: making them is not the runtime's work.
    frames = [Frame(FrameMeta("overhead", i, i / 30, now, 1, 1, camera), picture) for i in range(count)]
    results = [FrameResult(frame.meta, ()) for frame in frames]
    turn = Lock() if one_at_a_time else None
    stages: list[Stage[Any, Any]] = [*(_Pass(f"stage {i}") for i in range(1, STAGES)), _Finish(results)]
    runner = Runner(_Frames(frames, turn), stages, [_End(turn)], stream="overhead", run_info=_run_info)
    begin = time.process_time()
    runner.run()
    return (time.process_time() - begin) / count / (STAGES + 1) * 1e6


def _run_info(source: SourceInfo) -> RunInfo:
    none = np.zeros((0, 3), np.int32)
    return RunInfo("overhead", source, HandTopology("none", 0, none, none), "none", ClockAnchor(0, 0), {}, {})


class _Frames(Source):
    """Frames that are there already; each waits for `turn`, if there is one."""

    def __init__(self, frames: Sequence[Frame], turn: "Lock | None") -> None:
        self._frames = frames
        self._turn = turn

    def open(self) -> SourceInfo:
        camera = self._frames[0].meta.camera
        return SourceInfo("overhead", "synthetic", False, 1, 1, None, len(self._frames), camera)

    def frames(self) -> Iterator[Frame | None]:
        for frame in self._frames:
            if self._turn is not None:
                self._turn.acquire()
            yield frame


class _Pass(Stage[Frame, Frame]):
    def __init__(self, name: str) -> None:
        self.name = name

    def process(self, packet: Frame) -> Frame:
        return packet


class _Finish(Stage[Frame, FrameResult]):
    name = "last stage"

    def __init__(self, results: Sequence[FrameResult]) -> None:
        self._results = results

    def process(self, packet: Frame) -> FrameResult:
        return self._results[packet.meta.index]


class _End(Sink):
    """Takes results and, if there is a `turn`, gives it to the source again."""

    name = "sink"

    def __init__(self, turn: "Lock | None") -> None:
        self._turn = turn

    def open(self, run: RunInfo) -> None:
        pass

    def write(self, result: FrameResult) -> None:
        if self._turn is not None:
            self._turn.release()
