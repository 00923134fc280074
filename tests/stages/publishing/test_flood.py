"""A flood of subscriptions neither stops publishing nor fills the memory: a publisher, a viewer, an attacker."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.packets import FrameResult, RunInfo
from viewers.client import HandClient

SECONDS = 4.0

PUBLISHER = r"""
import pickle, re, sys, time
from pathlib import Path
from stages.publishing import Publisher, PublishSettings
run, result = pickle.loads(Path(sys.argv[1]).read_bytes())
publisher = Publisher(PublishSettings(address="tcp://127.0.0.1:*"))
publisher.open(run)
print(publisher.address, flush=True)
longest, beat = 0.0, time.monotonic()
while time.monotonic() < beat + 60 and not Path(sys.argv[2]).exists():
    begin = time.monotonic()
    publisher.write(result)
    longest = max(longest, time.monotonic() - begin)
    time.sleep(1 / 60)
# Not getrusage's ru_maxrss, which a child inherits from the process that started it.
peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]
print(longest, peak, flush=True)
publisher.close()
"""

FLOOD = """
import os, sys, time, zmq
socket = zmq.Context().socket(zmq.XSUB)
socket.connect(sys.argv[1])
end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        socket.send(b"\\1model/" + os.urandom(80), zmq.NOBLOCK)
    except zmq.Again:
        pass
"""


@contextmanager
def flood(address: str) -> Iterator[None]:
    """Two programs that subscribe as fast as they can."""
    programs = [subprocess.Popen([sys.executable, "-c", FLOOD, address]) for _ in range(2)]
    try:
        time.sleep(1)
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


class Publishing:
    """A publisher in a process of its own."""

    def __init__(self, folder: Path, run: RunInfo, result: FrameResult) -> None:
        import pickle

        (folder / "what").write_bytes(pickle.dumps((run, result)))
        self._enough = folder / "enough"
        self._process = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(folder / "what"), str(self._enough)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def end(self) -> tuple[float, int]:
        """The longest call in s, and the most memory in bytes."""
        self._enough.touch()
        said, _ = self._process.communicate(timeout=30)
        longest, memory = said.split()
        return float(longest), int(memory) * 1024

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


def gaps(client: Any, seconds: float) -> np.ndarray[Any, Any]:
    """Times between hands, s."""
    times = []
    end = time.monotonic() + seconds
    for _ in client.stream(timeout=seconds):
        times.append(time.monotonic())
        if times[-1] > end:
            break
    return np.diff(times)


def p99(times: np.ndarray[Any, Any]) -> float:
    return float(np.quantile(times, 0.99))


@pytest.mark.slow  # it measures, and other work disturbs it
def test_a_flood_of_subscriptions_neither_stops_publishing_nor_fills_the_memory(
    tmp_path: Path, make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult]
) -> None:
    publishing = Publishing(tmp_path, make_run(), make_result(0))
    ratios, shares = [], []
    try:
        with HandClient(publishing.address) as client:
            assert client.latest(10)
            for _ in range(3):
                with flood("tcp://127.0.0.1:1"):  # the same work for the machine, and nobody there
                    before = gaps(client, SECONDS)
                with flood(publishing.address):
                    flooded = gaps(client, SECONDS)
                ratios.append(p99(flooded) / p99(before))
                shares.append(len(flooded) / len(before))
            assert client.model is not None
        longest, memory = publishing.end()
    finally:
        publishing.kill()
    print(f"p99 of the gaps {ratios} of the quiet one, longest call {longest:.3f} s, {memory >> 20} MiB")  # noqa: T201
    assert max(shares) > 0.5, shares
    assert min(ratios) < 1.2, ratios
    assert memory < 600 << 20, memory  # 70 MiB of it Python and its packages


def test_subscribers_are_hung_up_on_in_a_flood_and_those_that_mean_it_come_back(
    make_stage: Callable[..., Any], make_result: Callable[..., FrameResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.publishing.audience._MOST_USELESS_BYTES", 10_000)
    stage, result = make_stage(), make_result(0)
    address, first = stage.address, stage.publisher._opened
    with flood(address):
        deadline = time.monotonic() + 60
        while stage.publisher._opened is first:
            assert time.monotonic() < deadline, "the flood was not noticed"
            stage.show(result)
    assert stage.address == address
    with HandClient(address) as client:
        while client.latest(0.01) is None or client.model is None:
            assert time.monotonic() < deadline + 20
            stage.show(result)
