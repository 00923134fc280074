"""A run on a camera of `tests.stages.sources.live.cameras`, as a program, that tells how old its results are.

    python -m tests.pipeline.streams.consumer ADDRESS PROCESSING [SETTINGS]

PROCESSING is how long its one stage takes, s, or "hands" for the usual stages; SETTINGS, in JSON, are those of the
source. For each result, each status and the report it prints a line of JSON. It ends on SIGTERM as `hamba run` does.
"""

import json
import logging
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hamba_core.hand import load_generic_hand
from pipeline.assembly import hand_stages
from pipeline.runtime import Runner
from pipeline.settings import load_settings
from pipeline.terminal import leave
from stages.common.plain import plain
from stages.common.stop_signals import stopped_by_signals
from stages.contract import Sink, Stage
from stages.packets import ClockAnchor, Frame, FrameResult, HandTopology, RunInfo, SourceInfo, Status
from stages.sources import SourceSettings, source_for
from tests.stages.sources.live.cameras import time_code

_lock = threading.Lock()


def tell(**values: Any) -> None:
    with _lock:
        sys.stdout.write(json.dumps(plain(values)) + "\n")
        sys.stdout.flush()


class Read(Stage[Frame | FrameResult, FrameResult]):
    """Reads the time in the picture, and takes as long as it is told."""

    name = "read"

    def __init__(self, seconds: float = 0.0) -> None:
        self._seconds = seconds

    def process(self, packet: Frame | FrameResult) -> FrameResult:
        time.sleep(self._seconds)
        result = packet if isinstance(packet, FrameResult) else FrameResult(packet.meta, (), image=packet.image)
        if result.image is None:
            raise ValueError("expected a result with its picture, found none")
        now = time.monotonic_ns()
        code, meta = time_code.read(result.image), result.frame
        tell(
            at=now / 1e9,
            age=None if code is None else ((now // 1_000_000 & 0xFFFFFFFF) - code) / 1e3,
            said=(now - meta.captured_ns) / 1e9,
            by=meta.captured_by,
            index=meta.index,
            pts=meta.pts,
            size=[meta.width, meta.height],
            hands=len(result.hands),
        )
        return result


class Nothing(Sink):
    """A sink that keeps nothing."""

    name = "nothing"

    def open(self, run: RunInfo) -> None:
        tell(open=time.monotonic(), fps=run.source.fps)

    def write(self, result: FrameResult) -> None:
        pass


def main() -> None:
    if hasattr(signal, "SIGHUP"):  # which nohup, under which the tests may run, has ignored
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    topology = HandTopology.of(load_generic_hand())
    clock = ClockAnchor(time.monotonic_ns(), time.time_ns())

    def info(source: SourceInfo) -> RunInfo:
        return RunInfo("hands", source, topology, "none", clock, {}, {})

    settings = SourceSettings.model_validate(json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})
    runner = Runner(
        source_for(sys.argv[1], settings),
        [*hand_stages(load_settings("live")), Read()] if sys.argv[2] == "hands" else [Read(float(sys.argv[2]))],
        [Nothing()],
        run_info=info,
        mode="live",
        on_status=lambda status: tell(status=numbers(status)),
    )
    try:
        with stopped_by_signals(runner.stop):
            tell(begin=time.monotonic())
            report = runner.run()
    except Exception as error:  # noqa: BLE001 - told, and the exit status says it too
        tell(error=f"{type(error).__name__}: {error}", report=None if runner.report is None else numbers(runner.report))
        leave(2)
    tell(report=numbers(report))
    leave(0)


def numbers(status: Status) -> dict[str, Any]:
    tree: dict[str, Any] = plain(status)
    tree["threads"] = threading.active_count()
    tree["descriptors"] = len(list(Path("/proc/self/fd").iterdir()))
    tree["memory"] = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    return tree


if __name__ == "__main__":
    main()
