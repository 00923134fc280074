"""Nothing that a publisher sends ends a client: what is wrong is counted and passed over, and good hands still come."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from stages import wire
from stages.packets import ClockAnchor, FrameResult, HandTopology, Percentiles, Status
from stages.recording import read_recording
from viewers.client import HandClient
from viewers.remote_recorder import RemoteRecorder, RemoteRecording

MakeResult = Callable[..., FrameResult]
CLOCK = ClockAnchor(1_000, 1_700_000_000_000_000_000)
TIMES = Percentiles(1.0, 2.0, 3.0)


def put(content: dict[str, Any], path: str, value: object) -> bytes:
    node: Any = content
    *above, last = path.split(".")
    for name in above:
        node = node[int(name)] if name.isdigit() else node[name]
    node[last] = value
    return msgspec.msgpack.encode(content)


NUMBERS = (
    -(2**63),
    -1,
    0,
    1,
    2**31,
    2**32 - 1,
    2**53,
    2**63 - 1,
    2**64 - 1,
    1e-300,
    -1e300,
    1e9,
    float("nan"),
    float("inf"),
)
PLACES = (
    "hands/seq", "hands/published_ns", "hands/clock.monotonic_ns", "hands/clock.unix_ns", "hands/frame.index",
    "hands/frame.pts", "hands/frame.captured_ns", "hands/frame.width", "hands/frame.height", "hands/camera.fx",
    "hands/camera.cx", "hands/hands.0.id", "hands/hands.0.score", "hands/stage_ns.track", "model/vertices",
    "model/published_ns", "status/elapsed", "status/rate", "status/frames", "status/latency.p50",
    "status/published_ns", "image/frame.width", "image/frame.height", "image/frame.captured_ns", "image/camera.fy",
)  # fmt: skip


class Publisher:
    """Sends whatever a test likes, to whoever subscribes."""

    def __init__(self, result: FrameResult, topology: HandTopology) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.XPUB)
        self.socket.sndhwm = 0
        self.socket.linger = 0
        self.address = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        status = Status("hands", "running", "", 1.0, 8, 2, 30.0, TIMES, (), (), {})
        import cv2

        jpeg = cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1].tobytes()
        self.good: dict[str, wire.Message] = {
            "model": wire.ModelMessage("hands", topology, "hamba", {}, 3, CLOCK),
            "hands": wire.HandsMessage(1, result, 3, CLOCK),
            "status": wire.StatusMessage(status, 3, CLOCK),
            "image": wire.ImageMessage(result.frame, jpeg, 3, CLOCK),
        }
        self.sent_wrong = 0

    def send(self, kind: str, content: bytes | None = None) -> None:
        content = content if content is not None else wire.encode_map(self.good[kind])
        self.socket.send(f"{kind}/hands\0".encode() + content)

    def attack(self) -> None:
        """Every number in every place, and what is no message at all."""
        for place in PLACES:
            kind, _, path = place.partition("/")
            for number in NUMBERS:
                content = msgspec.msgpack.decode(wire.encode_map(self.good[kind]))
                self.send(kind, put(content, path, number))
        for junk in (b"", b"\0", b"hands/", b"hands/hands\0", b"hands/hands\0\xc1", b"model/\xff\0" + bytes(99)):
            self.socket.send(junk)
        for big in (1e9, 1e38):
            hands = msgspec.msgpack.decode(wire.encode_map(self.good["hands"]))
            hands["hands"][0]["joints"]["b"] = np.full(63, big, "<f4").tobytes()
            self.send("hands", msgspec.msgpack.encode(hands))

    def close(self) -> None:
        self.context.destroy(0)


@pytest.fixture
def publisher(make_result: MakeResult, topology: HandTopology) -> Iterator[Publisher]:
    with closing(Publisher(make_result(0), topology)) as publisher:
        yield publisher


def wait(condition: Callable[[], object], do: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        do()
        time.sleep(0.01)


def greet(publisher: Publisher) -> None:
    publisher.send("model")
    publisher.send("hands")


def test_a_client_counts_what_is_wrong_and_goes_on(publisher: Publisher) -> None:
    with HandClient(publisher.address, images=True) as client:
        wait(lambda: client.latest(0.05), lambda: greet(publisher))
        publisher.attack()
        publisher.send("status")
        wait(lambda: client.status is not None and client.latest(0.05) is None, lambda: client.state)
        assert client.malformed > 100
        before = client.received
        publisher.send("hands")
        wait(lambda: client.received > before, lambda: client.latest(0.05))
        assert client.state == "running"
        assert client.age is None or np.isfinite(client.age)


def test_a_recorder_writes_a_recording_that_is_read_back(publisher: Publisher, tmp_path: Path) -> None:
    enough = threading.Event()
    client = HandClient(publisher.address)
    recorded: list[RemoteRecording] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            recorded.extend(RemoteRecorder(client, tmp_path, lambda _: not enough.is_set()).run())
        except BaseException as error:  # noqa: BLE001 - a test shows it
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        wait(lambda: client.received > 0 or errors, lambda: greet(publisher))
        publisher.attack()
        greet(publisher)
        received = client.received
        wait(lambda: client.received > received + 50 or errors, lambda: greet(publisher))
    finally:
        enough.set()
        thread.join(30)
        client.close()
    assert not errors, errors
    assert client.malformed > 100
    for recording in recorded:
        assert sum(1 for _ in read_recording(recording.path).results()) == recording.status.frames
    assert sum(recording.status.frames for recording in recorded) >= 50


def test_the_browser_page_goes_on(publisher: Publisher) -> None:
    pytest.importorskip("viser")
    from viewers.web import HandPage

    with HandClient(publisher.address, images=True) as client, closing(HandPage(client, port=0)) as page:

        def show() -> None:
            greet(publisher)
            page.step()

        wait(lambda: client.received > 0, show)
        for kind in ("status", "image", "hands"):
            for place in PLACES:
                for number in NUMBERS:
                    if place.startswith(kind):
                        content = msgspec.msgpack.decode(wire.encode_map(publisher.good[kind]))
                        publisher.send(kind, put(content, place.partition("/")[2], number))
                page.step()
        before = client.received
        wait(lambda: client.received > before, show)
