"""Streams over real sockets on the loopback."""

import contextlib
import os
import re
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from hamba_core.errors import BrokenSourceError, SourceError
from stages.packets import Frame
from stages.sources import SourceSettings, source_for
from stages.sources.live.network import scheme_of
from stages.sources.settings import LiveSettings
from tests.stages.sources.conftest import taken

Fixture = Callable[..., Any]
COLOURS = [(220, 30, 30), (30, 200, 40), (30, 40, 220), (190, 190, 190)]


class Server(ThreadingHTTPServer):
    """Answers on a port of its own; what clients do to it is not printed."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """serve(handler) -> address of an HTTP server on the loopback that uses it."""
    with contextlib.ExitStack() as stack:

        def start(handler: type[BaseHTTPRequestHandler], port: int = 0) -> str:
            server = stack.enter_context(Server(("127.0.0.1", port), handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
            return f"http://127.0.0.1:{server.server_address[1]}"

        yield start


def files_of(folder: Path) -> type[SimpleHTTPRequestHandler]:
    class Files(SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    return Files


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_a_file_at_an_address_is_read_to_its_end(
    make_video: Fixture,
    read: Fixture,
    quadrants: Fixture,
    same_colours: Fixture,
    tmp_path: Path,
    serve: Fixture,
    name: str,
) -> None:
    make_video(tmp_path / name, 40, container={"movflags": "+faststart"} if name.endswith("mp4") else {})
    reading = read(f"{serve(files_of(tmp_path))}/{name}")
    assert reading.error is None
    assert len(reading.frames) == 40
    assert reading.times == pytest.approx([index / 30 for index in range(40)], abs=2e-3)
    assert same_colours(quadrants(reading.frames[20].image), COLOURS)
    assert reading.info.kind == "network"
    assert not reading.info.live
    assert "h264" in reading.choice("decoder").chosen


def test_a_file_that_the_server_cuts_off_keeps_what_came(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture
) -> None:
    data = make_video(
        tmp_path / "clip.mkv",
        90,
        picture=lambda index: np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8),
    ).read_bytes()

    class Half(files_of(tmp_path)):  # type: ignore[misc]
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            self.send_response(200)
            self.send_header("Content-Length", str(len(data) // 2))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2])

    reading = read(f"{serve(Half)}/clip.mkv", read_timeout=2)
    assert isinstance(reading.error, BrokenSourceError)
    assert 20 < len(reading.frames) < 80
    assert "breaks off" in str(reading.error)


@pytest.mark.parametrize("status", [404, 401, 500])
def test_what_the_server_refuses_is_said(read: Fixture, tmp_path: Path, serve: Fixture, status: int) -> None:
    class Refuse(files_of(tmp_path)):  # type: ignore[misc]
        def do_GET(self) -> None:  # noqa: N802 - the library's name
            self.send_error(status)

    reading = read(f"{serve(Refuse)}/clip.mp4", open_timeout=5)
    assert type(reading.error) is SourceError
    assert {404: "404", 401: "401", 500: "5XX"}[status] in str(reading.error)


def test_a_page_is_no_video(read: Fixture, tmp_path: Path, serve: Fixture) -> None:
    (tmp_path / "index.html").write_text("<html><body>Welcome</body></html>" * 30)
    assert type(read(f"{serve(files_of(tmp_path))}/index.html").error) is SourceError


def test_nobody_at_the_address_is_said_at_once(read: Fixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for scheme in ("http", "rtsp", "tcp"):
            reading = read(f"{scheme}://127.0.0.1:{port}/live")
            assert type(reading.error) is SourceError
            assert "connection refused" in str(reading.error)


def test_a_protocol_that_this_build_is_without_is_named_and_a_way_around_it(read: Fixture) -> None:
    try:
        av.open("srt://127.0.0.1:1", timeout=0.1)
    except av.error.ProtocolNotFoundError:
        pass
    except av.FFmpegError:
        pytest.skip("this build has SRT")
    error = read("SRT://127.0.0.1:1?passphrase=SeKret").error
    assert "without srt" in str(error)
    assert "ffmpeg -i srt://" in str(error)
    assert "SeKret" not in str(error)


def test_one_that_accepts_and_never_answers_fails_in_its_time(read: Fixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for scheme in ("http", "rtsp"):
            address = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/live"
            reading = read(address, open_timeout=0.5, read_timeout=0.5)
            assert type(reading.error) is SourceError
            assert "nothing came within 0.5 s" in str(reading.error)


def jpeg(value: int, size: tuple[int, int] = (64, 48)) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((*size[::-1], 3), value, np.uint8))[1])


class Camera:
    """An IP camera as many are: JPEG after JPEG over HTTP. It can be made to hang up, to fall silent, or to refuse."""

    def __init__(self) -> None:
        self.hang_up_after: int | None = None
        self.silent_after: int | None = None
        self.refuse = 0
        self.size = 64, 48
        self.connections = 0
        self.released = threading.Event()

    def handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if camera.refuse:
                    camera.refuse -= 1
                    self.send_error(503)
                    return
                camera.connections += 1
                first = camera.connections == 1
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                for index in range(10_000):
                    if first and index == camera.hang_up_after:
                        return
                    if first and index == camera.silent_after:
                        camera.released.wait(60)
                        return
                    data = jpeg(index % 250, camera.size)
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                    self.wfile.write(head.encode() + data + b"\r\n")
                    if camera.released.wait(0.01):
                        return

            def log_message(self, *_: object) -> None:
                pass

        return Handler


@pytest.fixture
def camera() -> Iterator[Camera]:
    """An IP camera, let go at the end."""
    camera = Camera()
    yield camera
    camera.released.set()


QUICK = SourceSettings(live=LiveSettings(open_timeout=5, read_timeout=0.5, reconnect_timeout=20))


def test_an_ip_camera_is_live(camera: Camera, serve: Fixture) -> None:
    source = source_for(f"{serve(camera.handler())}/video", QUICK)
    info = source.open()
    assert (info.kind, info.live, info.frames) == ("network", True, None)
    frames = taken(source.frames(), 10)
    shown = [frame.image.mean() for frame in frames]
    assert all(later > earlier for earlier, later in pairwise(shown))
    times = [frame.meta.pts for frame in frames]
    assert times == sorted(set(times))
    source.close()


@pytest.mark.parametrize("how", ["hang_up_after", "silent_after"])
def test_an_ip_camera_that_goes_away_and_comes_back_is_opened_again(camera: Camera, serve: Fixture, how: str) -> None:
    setattr(camera, how, 5)
    source = source_for(f"{serve(camera.handler())}/video", QUICK)
    source.open()
    frames = source.frames()
    assert len(taken(frames, 5)) == 5
    camera.refuse = 1
    after = taken(frames, 5)
    assert [frame.meta.index for frame in after] == [5, 6, 7, 8, 9]
    assert camera.connections == 2
    assert any(choice.subject == "connection" and choice.fallback for choice in source.choices())
    source.close()


def test_an_ip_camera_that_stays_away_is_given_up(camera: Camera, serve: Fixture) -> None:
    camera.hang_up_after = 5
    settings = SourceSettings(live=LiveSettings(open_timeout=5, read_timeout=0.5, reconnect_timeout=0.4))
    source = source_for(f"{serve(camera.handler())}/video", settings)
    source.open()
    camera.refuse = 1000
    frames: list[Frame | None] = []
    with pytest.raises(BrokenSourceError, match="did not come back within"):
        frames.extend(source.frames())
    assert 1 <= sum(frame is not None for frame in frames) <= 5  # all came at once, and the newest are given
    source.close()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Broadcast:
    """Sends a moving picture as a transport stream to a UDP port of the loopback until it is stopped."""

    def __init__(self, port: int, picture: Callable[[int], Any]) -> None:
        self.stop = threading.Event()
        self._port, self._picture = port, picture
        self._thread = threading.Thread(target=self._send)
        self._thread.start()

    def _send(self) -> None:
        with av.open(f"udp://127.0.0.1:{self._port}?pkt_size=1316", "w", format="mpegts") as output:
            stream = output.add_stream("libx264", rate=30, options={"g": "10", "tune": "zerolatency"})
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            index = 0
            while not self.stop.wait(1 / 60):
                frame = av.VideoFrame.from_ndarray(self._picture(index), format="rgb24")
                frame.pts = index
                output.mux(stream.encode(frame))
                index += 1

    def end(self) -> None:
        self.stop.set()
        self._thread.join()


def test_a_transport_stream_over_udp_is_live_and_is_waited_for_when_it_pauses(
    make_picture: Fixture, quadrants: Fixture, same_colours: Fixture
) -> None:
    port = free_port()
    broadcast = Broadcast(port, lambda index: make_picture(shift=4 + index))
    try:
        source = source_for(
            f"udp://127.0.0.1:{port}", SourceSettings(live=LiveSettings(read_timeout=1, reconnect_timeout=20))
        )
        info = source.open()
        assert (info.live, info.width, info.height) == (True, 96, 64)
        frames = source.frames()
        first = taken(frames, 10)
        assert same_colours(quadrants(first[-1].image), COLOURS, within=16)
        broadcast.end()
        while next(frames) is not None:
            pass
        broadcast = Broadcast(port, lambda index: make_picture(shift=4 + index))
        second = taken(frames, 10)
        times = [frame.meta.pts for frame in first + second]
        assert times == sorted(set(times))
        source.close()
    finally:
        broadcast.end()


class RtspCamera:
    """The least of RFC 2326 that a client needs: H.264 over RTP, interleaved in the one TCP connection."""

    def __init__(self, picture: Callable[[int], Any], silent_after: int | None = None) -> None:
        self._picture = picture
        self._silent_after = silent_after
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"rtsp://user:secret@127.0.0.1:{self._server.getsockname()[1]}/live"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def end(self) -> None:
        self._stop.set()
        self._server.close()
        self._thread.join()

    def _serve(self) -> None:
        self._server.settimeout(0.1)
        while not self._stop.is_set():
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        received = b""
        while b"\r\n\r\n" not in received or not received.startswith(b"PLAY"):
            if b"\r\n\r\n" in received:
                request, _, received = received.partition(b"\r\n\r\n")
                self._answer(connection, request.decode())
                continue
            chunk = connection.recv(4096)
            if not chunk:
                return
            received += chunk
        self._answer(connection, received.partition(b"\r\n\r\n")[0].decode())
        self._play(connection)

    def _answer(self, connection: socket.socket, request: str) -> None:
        lines = request.split("\r\n")
        method = lines[0].split()[0]
        sequence = next(line for line in lines if line.lower().startswith("cseq")).partition(":")[2].strip()
        head, body = "", ""
        if method == "OPTIONS":
            head = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE":
            body = (
                "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
                "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track0\r\n"
            )
            head = "Content-Type: application/sdp\r\n"
        elif method == "SETUP":
            head = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method == "PLAY":
            head = "Session: 1\r\n"
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        connection.sendall(f"RTSP/1.0 200 OK\r\nCSeq: {sequence}\r\n{head}{length}\r\n{body}".encode())

    def _play(self, connection: socket.socket) -> None:
        # FFmpeg's RTP muxer sends to a port here, and what arrives there is passed on.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inlet:
            inlet.bind(("127.0.0.1", 0))
            inlet.setblocking(False)
            port = inlet.getsockname()[1]
            with av.open(f"rtp://127.0.0.1:{port}?pkt_size=1200", "w", format="rtp") as output:
                options = {"g": "10", "tune": "zerolatency", "x264-params": "repeat-headers=1"}
                stream = output.add_stream("libx264", rate=30, options=options)
                stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
                index = 0
                while not self._stop.wait(1 / 60):
                    if index == self._silent_after:
                        self._silent_after = None
                        while connection.recv(4096):  # until the client hangs up
                            pass
                        return
                    frame = av.VideoFrame.from_ndarray(self._picture(index), format="rgb24")
                    frame.pts = index
                    output.mux(stream.encode(frame))
                    index += 1
                    with contextlib.suppress(BlockingIOError):
                        while True:
                            packet = inlet.recv(2048)
                            connection.sendall(b"$\0" + len(packet).to_bytes(2, "big") + packet)


def test_an_rtsp_camera_is_live_and_its_password_is_not_shown(
    make_picture: Fixture, quadrants: Fixture, same_colours: Fixture
) -> None:
    rtsp = RtspCamera(lambda index: make_picture(shift=4 + index))
    try:
        source = source_for(rtsp.address, SourceSettings(live=LiveSettings(read_timeout=2)))
        info = source.open()
        assert info.live
        assert "secret" not in info.name
        frames = taken(source.frames(), 15)
        assert same_colours(quadrants(frames[-1].image), COLOURS, within=16)
        source.close()
    finally:
        rtsp.end()


def test_an_rtsp_camera_that_falls_silent_is_opened_again(make_picture: Fixture) -> None:
    rtsp = RtspCamera(lambda index: make_picture(shift=4 + index), silent_after=60)
    try:
        source = source_for(rtsp.address, SourceSettings(live=LiveSettings(read_timeout=0.5)))
        source.open()
        frames = taken(source.frames(), 80)
        assert [frame.meta.index for frame in frames] == list(range(80))
        assert any(choice.subject == "connection" for choice in source.choices())
        source.close()
    finally:
        rtsp.end()


def test_a_password_is_not_in_an_error(read: Fixture) -> None:
    error = read("rtsp://user:secret@127.0.0.1:1/live").error
    assert "secret" not in str(error)
    assert "rtsp://***@127.0.0.1:1" in str(error)
    assert "secret" not in "".join(traceback.format_exception(error))


@pytest.mark.parametrize(
    ("text", "scheme"), [("RTSP://a", "rtsp"), ("h264+x://a", "h264+x"), ("clip.mp4", None), ("C:/a", None)]
)
def test_the_scheme_of_an_address(text: str, scheme: str | None) -> None:
    assert scheme_of(text) == scheme


def test_a_reader_of_a_dead_stream_ends_within_its_time(camera: Camera, serve: Fixture) -> None:
    camera.silent_after = 3
    source = source_for(f"{serve(camera.handler())}/video", QUICK)
    source.open()
    assert len(taken(source.frames(), 2)) == 2
    source.close()
    until = time.monotonic() + 30
    while any("reader of http" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < until
        time.sleep(0.05)


def noise(index: int) -> Any:
    return np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8)


def chunked(data: bytes, *, size: int = 5000, breaks: bool = False) -> type[BaseHTTPRequestHandler]:
    """A server that sends bytes in chunks, and says neither how many there are nor that it knows ranges."""

    class Chunked(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with contextlib.suppress(OSError):
                for at in range(0, len(data), size):
                    piece = data[at : at + size]
                    self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")
                self.wfile.write(b"" if breaks else b"0\r\n\r\n")
            self.close_connection = True

    return Chunked


@pytest.mark.parametrize("suffix", ["mp4", "mov", "m4v"])
def test_a_file_with_its_index_at_the_end_that_comes_in_chunks_is_fetched_and_read(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture, suffix: str
) -> None:
    form = "mp4" if suffix == "m4v" else None
    data = make_video(tmp_path / f"clip.{suffix}", 60, picture=noise, format=form).read_bytes()
    assert data.find(b"mdat") < data.find(b"moov")
    reading = read(f"{serve(chunked(data))}/clip.{suffix}")
    assert reading.error is None
    assert len(reading.frames) == 60
    assert not reading.info.live
    assert reading.times == pytest.approx([index / 30 for index in range(60)], abs=2e-3)
    assert reading.choice("fetched").chosen.startswith(f"{len(data):,} bytes")


def test_a_file_with_its_index_at_the_end_that_its_server_gives_only_whole_is_fetched_and_read(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture
) -> None:
    make_video(tmp_path / "clip.mp4", 60, picture=noise)
    reading = read(f"{serve(files_of(tmp_path))}/clip.mp4")  # the library knows no ranges
    assert reading.error is None
    assert len(reading.frames) == 60
    assert reading.choice("fetched")


def test_a_file_with_its_index_in_front_is_read_as_it_comes(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture
) -> None:
    path = make_video(tmp_path / "clip.mp4", 60, picture=noise, container={"movflags": "faststart"})
    reading = read(f"{serve(chunked(path.read_bytes()))}/clip.mp4")
    assert len(reading.frames) == 60
    assert not any(choice.subject == "fetched" for choice in reading.choices)


def test_more_than_is_fetched_is_named_with_the_setting_and_a_way_around(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture
) -> None:
    data = make_video(tmp_path / "clip.mp4", 60, picture=noise).read_bytes()
    for handler in (chunked(data), files_of(tmp_path)):
        address = f"{serve(handler)}/clip.mp4"
        error = read(address, live=LiveSettings(max_fetch=50_000)).error
        assert type(error) is SourceError
        for words in (address, "source.live.max_fetch", "moov", "faststart"):
            assert words in str(error)


def test_chunks_that_break_off_before_the_index_are_named(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture
) -> None:
    data = make_video(tmp_path / "clip.mp4", 60, picture=noise).read_bytes()
    error = read(f"{serve(chunked(data[:100_000]))}/clip.mp4").error
    assert type(error) is SourceError
    assert "100,000 bytes without a readable index (moov)" in str(error)


def test_a_copy_that_the_disk_has_no_room_for_is_named(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_video(tmp_path / "clip.mp4", 60, picture=noise).read_bytes()
    full = os.open("/dev/full", os.O_RDWR)
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: os.fdopen(full, "r+b", buffering=0))
    error = read(f"{serve(chunked(data))}/clip.mp4").error
    assert type(error) is SourceError
    assert "no space left" in str(error)
    assert "TMPDIR" in str(error)


def test_what_comes_behind_the_video_of_a_file_at_an_address_is_told(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture
) -> None:
    first = make_video(tmp_path / "a.mkv", 12).read_bytes()
    (tmp_path / "b.ts").write_bytes(make_video(tmp_path / "a.ts", 12).read_bytes() + b"\0" * 200_000)
    (tmp_path / "b.mkv").write_bytes(first)
    assert read(f"{serve(files_of(tmp_path))}/b.ts").choice("rest of the file").fallback
    whole = read(f"{serve(files_of(tmp_path))}/b.mkv")
    assert whole.error is None
    assert not any(choice.subject == "rest of the file" for choice in whole.choices)


@pytest.mark.parametrize(("size", "most", "words"), [((12, 8), 8192, "at least 16x16"), ((64, 48), 32, "max_side")])
def test_a_camera_whose_pictures_are_too_small_or_too_large_is_refused_at_once(
    camera: Camera, read: Fixture, serve: Fixture, size: tuple[int, int], most: int, words: str
) -> None:
    camera.size = size
    address = f"{serve(camera.handler())}/video"
    began = time.monotonic()
    error = read(address, max_side=most).error
    assert type(error) is SourceError
    assert words in str(error)
    assert address in str(error)
    assert f"{size[0]}x{size[1]}" in str(error)
    assert time.monotonic() - began < 10  # a picture is waited for 15 s


def test_a_stream_whose_pictures_are_too_small_is_refused_at_once(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture
) -> None:
    path = make_video(tmp_path / "clip.ts", 12, size=(12, 8))
    error = read(f"{serve(chunked(path.read_bytes()))}/clip.ts").error
    assert type(error) is SourceError
    assert "at least 16x16" in str(error)


def test_a_stream_of_damaged_pictures_says_why_none_could_be_read(read: Fixture, serve: Fixture) -> None:
    broken = jpeg(10)[:60] + b"\xff\xd9"
    error = read(f"{serve(chunked(broken * 3))}/video", live=LiveSettings(open_timeout=0.5, read_timeout=0.5)).error
    assert type(error) is SourceError
    assert "none" in str(error)
    assert "JPEG" in str(error)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("tiles.tif", "a picture \\(TIFF\\); save it here"),
        ("grid.avif", "a picture \\(AVIF\\); save it here"),
        ("pages.pdf", "a PDF; save its pages"),
        ("take.mcap", "a recording; hamba view"),
        ("list.mpd", "a playlist \\(DASH\\), which this build of FFmpeg does not read"),
    ],
)
def test_what_would_be_read_wrong_from_an_address_is_named(
    read: Fixture, tmp_path: Path, serve: Fixture, name: str, words: str
) -> None:
    if name.endswith((".tif", ".avif")):
        cv2.imwrite(str(tmp_path / name), np.full((48, 64, 3), 90, np.uint8))
    else:
        heads = {
            ".pdf": b"%PDF-1.4\n",
            ".mcap": b"\x89MCAP0\r\n",
            ".mpd": b'<?xml version="1.0"?>\n<MPD type="static"/>',
        }
        (tmp_path / name).write_bytes(heads[Path(name).suffix].ljust(2000))
    error = read(f"{serve(files_of(tmp_path))}/{name}").error
    assert isinstance(error, SourceError)
    assert re.search(words, str(error))


def leading_to(target: str) -> type[BaseHTTPRequestHandler]:
    class Redirect(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", target)
            self.end_headers()

    return Redirect


def test_an_address_that_leads_on_is_read_and_the_secrets_of_the_other_are_not_shown(
    make_video: Fixture, read: Fixture, tmp_path: Path, serve: Fixture, capfd: pytest.CaptureFixture[str]
) -> None:
    make_video(tmp_path / "clip.ts", 12)
    place = serve(files_of(tmp_path)).replace("http://", "http://user:SeKret@")
    for name, error in (("clip.ts", False), ("nothing.ts", True)):
        first = f"{serve(leading_to(f'{place}/{name}?token=SeKret'))}/video"
        reading = read(first)
        assert (reading.error is not None) == error
        assert first in str(reading.error or reading.info)
        assert "SeKret" not in f"{reading.error!r} {reading.info!r} {reading.choices!r} {capfd.readouterr()}"
        trace = traceback.format_exception(reading.error) if reading.error else []
        assert "SeKret" not in "".join(trace)


def test_one_that_leads_to_where_nobody_listens_says_so(read: Fixture, serve: Fixture) -> None:
    first = serve(leading_to(f"http://user:SeKret@127.0.0.1:{free_port()}/video"))
    error = read(f"{first}/video").error
    assert type(error) is SourceError
    assert "leads on to another address (a redirect)" in str(error)
    assert "SeKret" not in "".join(traceback.format_exception(error))
