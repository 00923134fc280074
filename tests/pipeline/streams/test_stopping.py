"""A run on a camera ends within two seconds of being told to, wherever it is."""

import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.pipeline.streams.harness import Consumer, conserved
from tests.stages.sources.live.cameras.harness import CameraServer

WITHIN = 2.0
SLACK = 1.0  # for a machine that has other things to do; WITHIN is what the parts add up to at most

slow = pytest.mark.slow


@contextmanager
def full_queue() -> Iterator[int]:
    """A port that takes no more connections: the system drops what asks for one, as a machine that is off does."""
    with socket.socket() as server, ExitStack() as waiting:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def test_it_ends_with_its_report() -> None:
    with CameraServer("rtsp") as camera, Consumer(camera.address) as run:
        run.wait_for_results(10)
        status, _ = run.stop()
        assert (status, run.report["state"]) == (0, "stopped")
        assert conserved(run.report)


@slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_while_pictures_come(number: signal.Signals) -> None:
    with CameraServer("rtsp") as camera, Consumer(camera.address) as run:
        run.wait_for_results(10)
        status, took = run.stop(number)
        assert (status, run.report["state"]) == (0, "stopped")
        assert took < WITHIN + SLACK
        assert conserved(run.report)


@slow
@pytest.mark.parametrize("kind", ["rtsp", "http", "tcp-h264"])
@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
def test_while_one_that_never_answers_is_asked(kind: str, after: float) -> None:
    with CameraServer(kind, mute=True) as camera, Consumer(camera.address) as run:
        run.wait_for(lambda: any("begin" in line for line in run.lines))
        time.sleep(after)
        status, took = run.stop()
        assert (status, run.report["state"]) == (0, "stopped")
        assert took < WITHIN + SLACK


@slow
def test_while_nobody_answers_at_all() -> None:
    with full_queue() as port, Consumer(f"rtsp://127.0.0.1:{port}/live") as run:
        run.wait_for(lambda: any("begin" in line for line in run.lines))
        time.sleep(0.5)
        assert run.process.poll() is None
        status, took = run.stop()
        assert status == 0
        assert took < WITHIN + SLACK


def mute(camera: CameraServer) -> None:
    camera.tell(mute=True, hang_up=1)


def silent(camera: CameraServer) -> None:
    camera.tell(silent=True)


@slow
@pytest.mark.parametrize("fault", [CameraServer.kill, mute, silent])
@pytest.mark.parametrize("kind", ["rtsp", "http"])
def test_while_it_is_being_opened_again(kind: str, fault: Callable[[CameraServer], None]) -> None:
    with CameraServer(kind) as camera, Consumer(camera.address) as run:
        run.wait_for_results(10)
        fault(camera)
        time.sleep(1.5)
        status, took = run.stop()
        assert (status, run.report["state"]) == (0, "stopped")
        assert took < WITHIN + SLACK
        assert conserved(run.report)


@slow
def test_while_it_is_waited_for() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with Consumer(f"rtsp://127.0.0.1:{unused.getsockname()[1]}/live", wait=True) as run:
            run.wait_for(lambda: run.counts.get("attempts in vain", 0) >= 1)
            status, took = run.stop()
            assert (status, run.report["source"]["state"]) == (0, "connecting")
            assert took < WITHIN + SLACK
