"""Every part of a pipeline, going wrong in every way, with a full and an empty channel before it, in both modes."""

import threading
import time
from typing import TYPE_CHECKING

import pytest

from hamba_core.errors import StuckStageError
from pipeline.runtime.runner import Mode, RuntimeSettings
from stages.contract import EndOfStream

if TYPE_CHECKING:
    from tests.pipeline.conftest import Rig

PARTS = ("source", "s0", "s1", "s2", "k0", "k1")
FAULTS = (
    "raises",
    "ends",
    "is slow",
    "blocks",
    "raises in open",
    "raises in close",
    "blocks in open",
    "blocks in close",
)
FAULTY_FRAME = 6
GRACE = 5.0
SETTINGS = RuntimeSettings(grace=GRACE, in_flight=3)
WORK = {"source": "frame", "s0": "process", "s1": "process", "s2": "process", "k0": "write", "k1": "write"}


class FaultError(Exception):
    """What a part raises here."""


@pytest.mark.parametrize("mode", ["offline", "live"])
@pytest.mark.parametrize("channel", ["full", "empty"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", PARTS)
def test_a_run_ends_cleanly_whatever_a_part_does(rig: "Rig", name: str, fault: str, channel: str, mode: Mode) -> None:
    # A full channel: frames come as fast as they are taken. An empty one: a frame at a time.
    rig.build(count=10**9, eager=10**9 if channel == "full" else 0, mode=mode, settings=SETTINGS)
    error = FaultError(name)
    _arm(rig, name, fault, channel, error)
    rig.start()
    rig.until(rig.happened.is_set)
    ends_itself = fault in ("ends", "raises in open") or (fault == "raises" and (mode == "offline" or name == "source"))
    if not ends_itself:
        rig.runner.stop()
    report = rig.finish(step=GRACE / 3)

    stuck = fault.startswith("blocks")
    rig.check(report, abandoned=name if stuck else None)
    if stuck and fault == "blocks in open" and name.startswith("s") and name != "source":
        assert rig.error is None  # it was not needed any more, and had nothing to lose
        assert report.state == "stopped"
    elif stuck:
        assert isinstance(rig.error, StuckStageError)
        assert name in str(rig.error)
        assert "in wait" in str(rig.error)  # where it hangs
        assert report.state == "failed"
    elif "raises" in fault and not (fault == "raises" and not ends_itself):
        assert rig.error is error
        assert report.state == "failed"
        assert name in report.reason
    else:
        assert rig.error is None
        assert report.state == ("ended" if fault == "ends" else "stopped")
    if fault == "raises" and name != "source":
        assert report.errors == {f"{name}: FaultError": 1}
        assert next(stage for stage in report.stages if stage.name == name).dropped["error"] == 1
    if fault.endswith("in open"):
        assert report.frames == 0
        assert all(stage.received == 0 for stage in report.stages)
    # Errors in close come after the sinks have been told how the run ended.
    at_close = fault.endswith("in close") and name in ("k0", "k1")
    rig.check_sinks_were_told("stopped" if at_close else report.state, but=name if stuck or "open" in fault else None)


def _arm(rig: "Rig", name: str, fault: str, channel: str, error: FaultError) -> None:
    """Make a part do what the test is about, once (slow: from then on), and say when it has happened."""

    def act(index: int) -> None:
        if fault.startswith("blocks"):
            rig.block()
        rig.happened.set()
        if fault == "ends":
            raise EndOfStream
        if fault == "is slow":
            time.sleep(0.002)
        elif fault.startswith("raises"):
            raise error

    def act_at_work(index: int) -> None:
        first = not rig.happened.is_set()
        if index < FAULTY_FRAME or not (first or fault == "is slow"):
            return
        if first and channel == "full":
            _wait_until_full(rig, name)
        act(index)

    if not fault.endswith(("open", "close")):
        rig.part(name).on(WORK[name], act_at_work)
        if name == "source" and channel == "full":
            # Nothing is taken from the first channel any more until the source has done its worst.
            rig.stages[0].on("process", lambda index: _hold(rig, index))
        return
    rig.part(name).on(fault.rpartition(" ")[2], act)
    if fault.endswith("close"):
        _stop_at_a_frame(rig, channel)


def _hold(rig: "Rig", index: int) -> None:
    if index >= 1:
        rig.happened.wait()


def _wait_until_full(rig: "Rig", name: str) -> None:
    inbox = "s0" if name == "source" else name
    rig.until(lambda: (s := rig.stage_status(inbox)).queue_depth == s.queue_capacity)


def _stop_at_a_frame(rig: "Rig", channel: str) -> None:
    """Stop the run when the second sink gets a certain frame; with a full channel before it if that is asked for."""

    def stop(index: int) -> None:
        if index >= FAULTY_FRAME and not stopped.is_set():
            if channel == "full":
                _wait_until_full(rig, "k1")
            stopped.set()
            rig.runner.stop()

    stopped = threading.Event()
    rig.sinks[1].on("write", stop)
