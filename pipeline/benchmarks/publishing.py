"""This benchmark tells what publishing costs and how soon clients have the hands.

It uses real processes and sockets on the loopback interface.

One process publishes two hands of MANO's size (778 vertices) at a fixed rate; clients of several kinds follow it.
"""

import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Thread

import numpy as np
import zmq

from hamba_core.hand import Side
from hamba_core.view import Intrinsics
from stages import wire
from stages.packets import ClockAnchor, FrameMeta, FrameResult, Hand, HandTopology, Percentiles, RunInfo, SourceInfo
from stages.publishing import Publisher, PublishSettings
from viewers.client import HandClient

VERTICES = 778  # MANO's
_STREAM = "bench"
_READER_PERIOD = 0.1  # s, of the client that reads ten times a second


@dataclass(frozen=True)
class PublishingBenchmark:
    """Times are milliseconds unless their name says another unit."""

    rate: float  # messages a second
    message_bytes: int
    latency: Percentiles  # publish to receive, a client that waits for each message
    slow_reader_behind: Percentiles  # publish to read, a client that takes `latest` ten times a second
    slow_reader_worst: float
    publish: Percentiles  # what one message takes from the publishing thread
    publish_stalled: Percentiles  # as much beside a client that has stopped reading
    latency_stalled: Percentiles  # of a client that reads, beside one that has stopped
    stalled_over_publish: float  # p99 of publish_stalled over that of publish
    stalled_memory_mib: float  # what the publishing process grew by, meanwhile
    stalled_seconds: float
    clients: int
    latency_clients: Percentiles  # over all of so many clients at once
    resumed_seconds: float  # from the bind of a publisher started after a kill to the client's first hands


def measure_publishing(
    *,
    rate: float = 60.0,
    seconds: float = 10.0,
    stalled_seconds: float = 30.0,
    clients: int = 20,
    on_phase: Callable[[str], None] = lambda phase: None,
) -> PublishingBenchmark:
    """Measure all phases: each takes `seconds`, the one with a stalled client `stalled_seconds`."""
    with _publishing("tcp://127.0.0.1:*", rate) as publisher:
        on_phase("latency")
        _latencies(publisher.address, 1.0)  # warm
        publisher.ask()
        latency = _latencies(publisher.address, seconds)
        before = publisher.ask()
        on_phase("a client that reads ten times a second")
        behind = _slow_reader(publisher.address, seconds)
        on_phase("a client that stops reading")
        memory = publisher.ask().memory_mib
        with _stalled_client(publisher.address):
            latency_stalled = _latencies(publisher.address, stalled_seconds)
            stalled = publisher.ask()
        on_phase(f"{clients} clients")
        latency_clients = _many_clients(publisher.address, clients, seconds)
        on_phase("a publisher that is killed and started anew")
        resumed = _resume(publisher, rate)
    publish, publish_stalled = _percentiles(before.write_ms), _percentiles(stalled.write_ms)
    return PublishingBenchmark(
        rate=rate,
        message_bytes=before.message_bytes,
        latency=_percentiles(latency),
        slow_reader_behind=_percentiles(behind),
        slow_reader_worst=max(behind),
        publish=publish,
        publish_stalled=publish_stalled,
        latency_stalled=_percentiles(latency_stalled),
        stalled_over_publish=publish_stalled.p99 / publish.p99,
        stalled_memory_mib=stalled.memory_mib - memory,
        stalled_seconds=stalled_seconds,
        clients=clients,
        latency_clients=_percentiles(latency_clients),
        resumed_seconds=resumed,
    )


def _percentiles(values: list[float]) -> Percentiles:
    return Percentiles(*(float(value) for value in np.percentile(values, (50, 95, 99))))


# The publishing process.


@dataclass(frozen=True)
class _Report:
    write_ms: list[float]  # since the last report
    memory_mib: float  # most so far
    message_bytes: int


class _PublishingProcess:
    def __init__(self, address: str, rate: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_publish, args=(address, rate, theirs), daemon=True)
        self.process.start()
        self.address: str
        self.bound_ns: int  # when it could be connected to
        self.address, self.bound_ns = self._pipe.recv()

    def ask(self) -> _Report:
        """Return what happened since the last call."""
        self._pipe.send("report")
        report: _Report = self._pipe.recv()
        return report

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self._pipe.close()


@contextmanager
def _publishing(address: str, rate: float) -> Iterator[_PublishingProcess]:
    publisher = _PublishingProcess(address, rate)
    try:
        yield publisher
    finally:
        if publisher.process.is_alive():
            publisher.kill()


def _publish(address: str, rate: float, pipe: Connection) -> None:
    """Publish until killed."""
    publisher = Publisher(PublishSettings(address=address))
    run = _run()
    publisher.open(run)
    pipe.send((publisher.address, time.monotonic_ns()))
    results = [_result(index) for index in range(32)]
    size = len(wire.encode(wire.HandsMessage(0, results[0], 0, run.clock)))
    write_ms: list[float] = []
    begin, index = time.monotonic(), 0
    while True:
        publisher_ns = time.monotonic_ns()
        publisher.write(results[index % len(results)])
        write_ms.append((time.monotonic_ns() - publisher_ns) / 1e6)
        index += 1
        while (wait := begin + index / rate - time.monotonic()) > 0:
            if pipe.poll(wait):
                pipe.recv()
                pipe.send(_Report(write_ms, _peak_memory_mib(), size))
                write_ms = []


def _peak_memory_mib() -> float:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _run() -> RunInfo:
    random = np.random.default_rng(0)
    faces = random.integers(0, VERTICES, (1538, 3)).astype(np.int32)
    source = SourceInfo("bench", "synthetic", True, 640, 480, None, None, Intrinsics.estimate(640, 480))
    topology = HandTopology("bench", VERTICES, faces, faces)
    clock = ClockAnchor(time.monotonic_ns(), time.time_ns())
    return RunInfo(_STREAM, source, topology, "landmarks", clock, {}, {})


def _result(index: int) -> FrameResult:
    """Return two hands of random numbers: what they look like makes no difference to a socket."""
    random = np.random.default_rng(index)

    def numbers(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return random.normal(0, 1, shape).astype(np.float32)

    sides: tuple[tuple[int, Side], ...] = ((1, "right"), (2, "left"))
    hands = tuple(
        Hand(
            track_id=track,
            side=side,
            score=0.9,
            box=numbers(4),
            global_orient=numbers(3, 3),
            hand_pose=numbers(15, 3, 3),
            betas=numbers(10),
            translation=numbers(3),
            joints=numbers(21, 3),
            joints_2d=numbers(21, 2),
            vertices=numbers(VERTICES, 3),
        )
        for track, side in sides
    )
    frame = FrameMeta(_STREAM, index, index / 60, time.monotonic_ns(), 640, 480, Intrinsics.estimate(640, 480))
    return FrameResult(frame, hands)


# The clients.


def _latencies(address: str, seconds: float) -> list[float]:
    """Return the time from publishing to receiving, ms, of every message for so long."""
    latencies: list[float] = []
    with HandClient(address) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for message in client.stream(timeout=0.5):
                latencies.append((time.monotonic_ns() - message.published_ns) / 1e6)
                if time.monotonic() >= end:
                    break
    return latencies[1:]  # the first comes while the client still connects


def _slow_reader(address: str, seconds: float) -> list[float]:
    """Return how old `latest` is, ms, asked ten times a second."""
    behind = []
    with HandClient(address) as client:
        client.latest(timeout=5)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(_READER_PERIOD)
            message = client.latest()
            if message is not None:
                behind.append((time.monotonic_ns() - message.published_ns) / 1e6)
    return behind


@contextmanager
def _stalled_client(address: str) -> Iterator[None]:
    """Keep a client connected that never reads."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.rcvhwm = 1
    socket.subscribe("")
    socket.connect(address)
    try:
        yield
    finally:
        socket.close(0)
        context.term()


def _many_clients(address: str, count: int, seconds: float) -> list[float]:
    """Return the latencies of so many clients at once."""
    latencies: list[list[float]] = [[] for _ in range(count)]

    def follow(number: int) -> None:
        latencies[number] = _latencies(address, seconds)

    threads = [Thread(target=follow, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [latency for own in latencies for latency in own]


def _resume(publisher: _PublishingProcess, rate: float) -> float:
    """Kill the publisher, start another in its place, and return the seconds from its bind to an old client's hands."""
    with HandClient(publisher.address) as client:
        if client.latest(timeout=5) is None:
            return float("inf")
        publisher.kill()
        while client.latest(timeout=0.2) is not None:
            pass
        with _publishing(publisher.address, rate) as anew:
            if client.latest(timeout=30) is None:
                return float("inf")
            return (time.monotonic_ns() - anew.bound_ns) / 1e9
