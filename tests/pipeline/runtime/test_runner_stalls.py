"""Parts that are stuck: what they are given, when they are given up, and what becomes of what they held."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hamba_core.errors import StuckStageError
from pipeline.runtime.clock import MonotonicClock, SimulatedClock
from pipeline.runtime.runner import Mode, RuntimeSettings
from stages.contract import EndOfStream

if TYPE_CHECKING:
    from tests.pipeline.conftest import Rig

FOREVER = 10**9


def test_a_call_may_be_slow_while_the_run_goes_its_normal_way(rig: "Rig") -> None:
    settings = RuntimeSettings(grace=1, stall=100)
    rig.build(count=4, settings=settings)
    for name, call in (("source", "frame"), ("s1", "process"), ("k1", "write"), ("s2", "close"), ("k0", "close")):
        rig.part(name).on(call, lambda index: rig.advance(20))
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert report.frames == 4


def test_a_call_is_not_given_up_for_the_time_in_which_the_whole_process_was_paused(rig: "Rig") -> None:
    rig.build(count=4, settings=RuntimeSettings(grace=1, stall=100))
    assert isinstance(rig.clock, SimulatedClock)
    clock = rig.clock
    rig.part("s1").on("process", lambda index: clock.advance(1000, paused=True))
    rig.part("k0").on("close", lambda index: clock.advance(1000, paused=True))
    report = rig.finish()
    rig.check(report)
    assert rig.error is None
    assert report.frames == 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there processes are not stopped by a signal")
def test_a_run_that_is_stopped_by_ctrl_z_goes_on_when_it_is_continued() -> None:
    source = "synthetic:?live=1&width=320&height=240&fps=10&seconds=3600"
    hamba = "from pipeline.commands.cli import main; main()"
    command = ["run", source, "--no-publish", "--estimator", "landmarks", "--json", "--set", "runtime.stall=1.5"]
    run = subprocess.Popen([sys.executable, "-c", hamba, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        time.sleep(3)
        run.send_signal(signal.SIGSTOP)
        time.sleep(4)
        run.send_signal(signal.SIGCONT)
        time.sleep(3)
        assert run.poll() is None
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert run.returncode == 0, err
    assert json.loads(out)["state"] == "stopped"


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
    from hamba_core.view.camera import Intrinsics
    from hamba_core.errors import StuckStageError
    from pipeline.runtime.runner import Runner, RuntimeSettings
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

    def run_info(source):
        topology = HandTopology("none", 0, np.zeros((0, 3)), np.zeros((0, 3)))
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
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert program.stdout.startswith("stuck: expected process to return within 0.1 s once the run was ending")
    assert "in process" in program.stdout
    assert not program.stderr
