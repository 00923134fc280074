"""Cameras that send pictures in parts over HTTP, each in its own way, over real sockets."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest

from stages.contract import EndOfStream
from stages.packets import Frame
from stages.sources import SourceSettings, source_for
from tests.stages.sources.conftest import taken

Fixture = Callable[..., Any]
GAP = 0.1  # s between pictures


def jpeg(number: int, suffix: str = ".jpg") -> bytes:
    done, data = cv2.imencode(suffix, np.full((48, 64, 3), 10 + 4 * (number % 60), np.uint8))
    assert done
    return bytes(data)


def camera(kind: str, stop: threading.Event) -> tuple[str, threading.Thread, socket.socket]:
    """The address of a camera that writes its parts in this way."""
    server = socket.create_server(("127.0.0.1", 0))

    def part(number: int) -> bytes:
        data = jpeg(number, ".png" if kind == "png" else ".jpg")
        type_ = {
            "jpg": b"Content-Type: image/jpg\r\n",
            "png": b"Content-Type: image/png\r\n",
            "no type": b"",
        }.get(kind, b"Content-Type: image/jpeg\r\n")
        lengths = {"no length": None, "bare boundary": None, "length 0": 0, "half a length": len(data) // 2}
        lengths |= {"twice a length": 2 * len(data)}
        said = lengths.get(kind, len(data))
        length = b"" if said is None else b"Content-Length: %d\r\n" % said
        if kind == "bare boundary":
            return b"--frame\r\n\r\n" + data + b"\r\n"
        body = type_ + length + (b"" if type_ + length else b"X: 1\r\n") + b"\r\n" + data + b"\r\n"
        if kind == "no boundary before":
            return body + b"--frame\r\n"
        text = b"--frame\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi\r\n" if kind == "text" else b""
        marks = {"no dashes": b"frame\r\n", "four dashes": b"----frame\r\n", "bare line ends": b"--frame\n"}
        whole = marks.get(kind, b"--frame\r\n") + body + text
        return whole.replace(b"\r\n", b"\n", 4) if kind == "bare line ends" else whole

    def serve() -> None:
        while not stop.is_set():
            try:
                client, _ = server.accept()
            except OSError:
                return
            with client:
                try:
                    client.recv(4096)
                    boundary = {"four dashes": b"--frame", "quoted": b'"frame"'}.get(kind, b"frame")
                    client.sendall(
                        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary="
                        + boundary
                        + b"\r\n\r\n"
                    )
                    if kind == "words before":
                        client.sendall(b"This is a stream of pictures.\r\n\r\n")
                    number = 0
                    while not stop.wait(GAP):
                        client.sendall(part(number))
                        number += 1
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    return f"http://127.0.0.1:{server.getsockname()[1]}/", thread, server


@pytest.fixture
def start() -> Iterator[Callable[[str], str]]:
    """start(kind) -> the address of a camera."""
    stop = threading.Event()
    running: list[tuple[threading.Thread, socket.socket]] = []

    def begin(kind: str) -> str:
        address, thread, server = camera(kind, stop)
        running.append((thread, server))
        return address

    yield begin
    stop.set()
    for thread, server in running:
        with socket.create_connection(server.getsockname()):
            pass
        server.close()
        thread.join(5)


def frames_of(address: str, count: int) -> list[Frame]:
    """So many frames of a camera."""
    return frames_and_skipped(address, count)[0]


def frames_and_skipped(address: str, count: int) -> tuple[list[Frame], int]:
    """So many frames, and how many were left out before the last: on a busy machine, those that are late."""
    source = source_for(address, SourceSettings(live={"open_timeout": 5, "read_timeout": 3}))
    try:
        assert source.open().live
        frames = taken(source.frames(), count)
        return frames, sum(source.skipped().values())
    finally:
        source.close()


KINDS = ["usual", "no boundary before", "jpg", "png", "no type", "no length", "length 0", "text", "quoted", "no dashes"]
KINDS += ["four dashes", "bare line ends", "bare boundary", "half a length", "twice a length", "words before"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_comes_once_and_at_the_time_it_arrived(start: Fixture, kind: str) -> None:
    frames, skipped = frames_and_skipped(start(kind), 8)
    numbers = [round((float(frame.image.mean()) - 10) / 4) for frame in frames]
    assert all(later > earlier for earlier, later in pairwise(numbers))
    assert [float(frame.image.mean()) for frame in frames] == pytest.approx(
        [10 + 4 * number for number in numbers], abs=1
    )
    assert numbers[-1] + 1 == len(frames) + skipped
    pts = np.array([frame.meta.pts for frame in frames])
    arrived = np.array([frame.meta.captured_ns for frame in frames]) / 1e9
    np.testing.assert_allclose(pts, arrived - arrived[0], atol=1e-6)
    assert pts[-1] > 7 * GAP * 0.8  # as sent; FFmpeg's own steps of 1/25 s would be less than half of it


def test_the_scheme_of_an_address_may_be_in_capitals(start: Fixture) -> None:
    assert len(frames_of(start("usual").replace("http", "HTTP"), 3)) == 3


def test_opening_ends_at_once_where_it_is_interrupted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = source_for(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/", SourceSettings(live={"open_timeout": 30}))
        begin = time.monotonic()
        threading.Timer(0.3, source.interrupt).start()
        with pytest.raises(EndOfStream):
            source.open()
        source.close()
        assert time.monotonic() - begin < 10  # of 30
