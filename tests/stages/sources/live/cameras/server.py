"""A camera on the network, as a program: RTSP, HTTP, or raw data over TCP, and all that can go wrong with it.

    python -m tests.stages.sources.live.cameras.server KIND PORT [JSON]

It prints its port. On standard input it takes JSON, a line each, whose keys change how it behaves (`Behaviour`).
Pictures show the time at which they were taken (`time_code`).
"""

import base64
import contextlib
import json
import os
import random
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import Any

import av
import numpy as np

from tests.stages.sources.live.cameras import time_code

NTP_1970 = 2_208_988_800


@dataclass
class Behaviour:
    """What can be changed while it runs."""

    width: int = 320
    height: int = 240
    rate: float = 30.0
    key_interval: int = 30  # pictures
    b_frames: int = 0
    silent: bool = False  # it keeps the connection and sends nothing
    hang_up: int = 0  # raised by one, it ends all connections
    hang_up_after: int = 0  # pictures, after which it ends each connection; 0 is never
    refuse: bool = False  # it closes every connection at once
    mute: bool = False  # it takes connections and never answers
    corrupt: float = 0.0  # share of packets with bytes that are changed
    lose: float = 0.0  # share of packets that are not sent
    frozen: bool = False
    black: bool = False
    clock: float = 0.0  # s, added to the stream's own stamps
    wall_clock: float = 0.0  # s, added to what it says of Unix time
    reports: bool = True  # RTCP's sender reports
    only_udp: bool = False
    password: str = ""
    slices: int = 1  # of a picture; before each of a key frame the parameter sets stand again
    noise: int = 0  # of the picture's background, so that it takes more bytes
    clip: str = ""  # a video of which the background is made, for hands to be seen


@dataclass(eq=False)
class Sent:
    """One coded picture."""

    data: bytes
    taken_ns: int
    key: bool


@dataclass(eq=False)
class Camera:
    """It takes and codes pictures, and gives each to all who listen."""

    codec: str
    behaviour: Behaviour = field(default_factory=Behaviour)
    listeners: list["Queue[Sent]"] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def listen(self) -> "Queue[Sent]":
        queue: Queue[Sent] = Queue(600)
        with self.lock:
            self.listeners.append(queue)
        return queue

    def leave(self, queue: "Queue[Sent]") -> None:
        with self.lock:
            self.listeners.remove(queue)

    def run(self) -> None:
        shape: tuple[Any, ...] = ()
        encoder: Any = None
        index = 0
        image = np.zeros((1, 1, 3), np.uint8)
        due = time.monotonic()
        noise = np.random.default_rng(0)
        clip: list[Any] = []
        while True:
            b = self.behaviour
            due = max(due + 1 / b.rate, time.monotonic() - 0.5)
            time.sleep(max(0.0, due - time.monotonic()))
            if (b.width, b.height, b.rate, b.key_interval, b.b_frames, b.slices) != shape:
                shape = (b.width, b.height, b.rate, b.key_interval, b.b_frames, b.slices)
                encoder = self._encoder(b)
                image = np.zeros((b.height, b.width, 3), np.uint8)
                index = 0
                clip = backgrounds(b) if b.clip else []
            taken = time.monotonic_ns()
            if b.black:
                image[:] = 0
            elif not b.frozen:
                image[:] = 90
                if b.noise:
                    image[:] = noise.integers(90 - b.noise, 90 + b.noise, image.shape, np.uint8)
                if clip:
                    image[:] = clip[index % len(clip)]
                image[(index * 3) % (b.height - 20) :][:20, -60:] = (200, 60, 30)
                time_code.draw(image, taken // 1_000_000)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=encoder.pix_fmt)
            frame.pts = index
            index += 1
            for packet in encoder.encode(frame):
                held = round((frame.pts - packet.pts) * 1e9 / b.rate)  # by a coder that puts pictures in another order
                sent = Sent(bytes(packet), taken - held, bool(packet.is_keyframe))
                with self.lock:
                    for queue in self.listeners:
                        with contextlib.suppress(Full):
                            queue.put_nowait(sent)

    def _encoder(self, b: Behaviour) -> Any:
        encoder: Any = av.CodecContext.create("libx264" if self.codec == "h264" else "mjpeg", "w")
        encoder.width, encoder.height = b.width, b.height
        encoder.framerate = round(b.rate)
        encoder.thread_count = 1
        if self.codec == "h264":
            encoder.pix_fmt = "yuv420p"
            tune = {"tune": "zerolatency"} if not b.b_frames else {"bf": str(b.b_frames)}
            encoder.options = {
                "preset": "ultrafast" if not b.b_frames else "veryfast",
                "g": str(b.key_interval),
                "x264-params": f"repeat-headers=1:keyint={b.key_interval}:scenecut=0:slices={b.slices}",
                "sliced-threads": "0",
                **tune,
            }
        else:
            encoder.pix_fmt = "yuvj420p"
            encoder.options = {"qscale": "4"}
        return encoder


def backgrounds(b: Behaviour) -> list[Any]:
    """The pictures of a clip, forwards and backwards, in the size that is sent."""
    with av.open(b.clip) as container:
        found = [
            frame.reformat(b.width, b.height, "rgb24").to_ndarray()
            for frame, _ in zip(container.decode(video=0), range(90), strict=False)
        ]
    return found + found[::-1]


def pictures(camera: Camera, connection: socket.socket) -> Iterator[Sent]:
    """What is sent on one connection, until it is hung up."""
    queue = camera.listen()
    hang_up = camera.behaviour.hang_up
    begun, count = False, 0
    try:
        while camera.behaviour.hang_up == hang_up:
            try:
                sent = queue.get(timeout=0.1)
            except Empty:
                continue
            if camera.behaviour.silent:
                begun = False
                continue
            begun |= sent.key
            if begun:
                yield sent
                count += 1
            if 0 < camera.behaviour.hang_up_after <= count:
                return
    finally:
        camera.leave(queue)


def spoilt(data: bytes, share: float) -> bytes:
    """The data, at random with a few bytes changed."""
    if random.random() >= share or len(data) < 32:
        return data
    changed = bytearray(data)
    for _ in range(8):
        changed[random.randrange(16, len(data))] ^= random.randrange(1, 256)
    return bytes(changed)


def serve_http(camera: Camera, connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
    for sent in pictures(camera, connection):
        head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(sent.data)
        connection.sendall(head + spoilt(sent.data, camera.behaviour.corrupt) + b"\r\n")


def serve_raw(camera: Camera, connection: socket.socket) -> None:
    for sent in pictures(camera, connection):
        connection.sendall(spoilt(sent.data, camera.behaviour.corrupt))


def serve_answer(camera: Camera, connection: socket.socket) -> None:
    """Raw data as an answer over HTTP that has no end."""
    connection.recv(4096)
    connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n")
    serve_raw(camera, connection)


def serve_rtsp(camera: Camera, connection: socket.socket) -> None:
    """RFC 2326 as far as clients need it: OPTIONS, DESCRIBE, SETUP, PLAY."""
    buffer, ports = b"", None
    rtp: socket.socket | None = None
    with contextlib.ExitStack() as stack:
        while True:
            while b"\r\n\r\n" not in buffer:
                chunk = connection.recv(4096)
                if not chunk:
                    return
                buffer += chunk
            request, _, buffer = buffer.partition(b"\r\n\r\n")
            lines = request.decode(errors="replace").split("\r\n")
            method = lines[0].split()[0]
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
            status, head, body = "200 OK", "", ""
            wanted = "Basic " + base64.b64encode(f"user:{camera.behaviour.password}".encode()).decode()
            if camera.behaviour.password and method != "OPTIONS" and fields.get("authorization") != wanted:
                status, head = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
            elif method == "OPTIONS":
                head = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            elif method == "DESCRIBE":
                head = "Content-Type: application/sdp\r\n"
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nc=IN IP4 127.0.0.1\r\n"
                    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
                    "a=fmtp:96 packetization-mode=1\r\na=control:track0\r\n"
                )
            elif method == "SETUP":
                transport = fields.get("transport", "")
                if "TCP" in transport and camera.behaviour.only_udp:
                    status = "461 Unsupported Transport"
                elif "TCP" in transport:
                    head = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
                else:
                    client = int(transport.split("client_port=")[1].split("-")[0])
                    rtp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                    rtp.bind(("127.0.0.1", 0))
                    ports = (client, client + 1)
                    mine = rtp.getsockname()[1]
                    head = (
                        f"Transport: RTP/AVP/UDP;unicast;client_port={client}-{client + 1};"
                        f"server_port={mine}-{mine + 1}\r\nSession: 1\r\n"
                    )
            elif method == "PLAY":
                head = "Session: 1\r\n"
            length = f"Content-Length: {len(body)}\r\n" if body else ""
            answer = f"RTSP/1.0 {status}\r\nCSeq: {fields.get('cseq', '0')}\r\n{head}{length}\r\n{body}"
            connection.sendall(answer.encode())
            if method == "PLAY" and status == "200 OK":
                break
            if method == "TEARDOWN":
                return
        play(camera, connection, rtp, ports)


def play(camera: Camera, connection: socket.socket, rtp: socket.socket | None, ports: tuple[int, int] | None) -> None:
    sequence, base = random.randrange(1 << 16), random.randrange(1 << 32)
    gone = threading.Event()

    def listen() -> None:  # a client's receiver reports are read, so that they do not fill the socket
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass
        gone.set()

    threading.Thread(target=listen, daemon=True).start()

    def send(channel: int, data: bytes) -> None:
        if random.random() < camera.behaviour.lose:
            return
        if rtp is not None and ports is not None:
            with contextlib.suppress(ConnectionRefusedError):
                rtp.sendto(data, ("127.0.0.1", ports[channel]))
        else:
            connection.sendall(b"$" + bytes([channel]) + struct.pack(">H", len(data)) + data)

    next_report = 0.0
    for sent in pictures(camera, connection):
        if gone.is_set():
            return
        b = camera.behaviour
        stamp = (base + round((sent.taken_ns / 1e9 + b.clock) * 90000)) & 0xFFFFFFFF
        if b.reports and time.monotonic() > next_report:
            next_report = time.monotonic() + 1.0
            wall = time.time() - time.monotonic() + sent.taken_ns / 1e9 + b.wall_clock + NTP_1970
            ntp = (int(wall), int(wall % 1 * 2**32))
            send(1, struct.pack(">BBHIIIIII", 0x80, 200, 6, 7, *ntp, stamp, 0, 0))
        units = [unit.rstrip(b"\0") for unit in sent.data.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if unit]
        if b.slices > 1:
            units = repeated(units)
        for number, unit in enumerate(units):
            last = number == len(units) - 1
            for payload, marker in fragments(unit, last):
                header = struct.pack(">BBHII", 0x80, 96 | marker << 7, sequence & 0xFFFF, stamp, 7)
                sequence += 1
                send(0, header + spoilt(payload, b.corrupt))


def repeated(units: list[bytes]) -> list[bytes]:
    """The units of a picture with its parameter sets before every slice of a key frame."""
    sets = [unit for unit in units if unit[0] & 0x1F in (7, 8)]
    others = [unit for unit in units if unit[0] & 0x1F not in (7, 8)]
    return [part for unit in others for part in ([*sets, unit] if unit[0] & 0x1F == 5 else [unit])]


def fragments(unit: bytes, last: bool) -> Iterator[tuple[bytes, bool]]:
    """A NAL unit as RFC 6184 sends it: whole, or in fragments (FU-A)."""
    if len(unit) <= 1200:
        yield unit, last
        return
    kind, rest = unit[0] & 0x1F, unit[1:]
    for begin in range(0, len(rest), 1200):
        end = begin + 1200 >= len(rest)
        yield (
            bytes([unit[0] & 0xE0 | 28, (begin == 0) << 7 | end << 6 | kind]) + rest[begin : begin + 1200],
            last and end,
        )


KINDS = {
    "rtsp": ("h264", serve_rtsp),
    "http": ("mjpeg", serve_http),
    "http-h264": ("h264", serve_answer),
    "http-mjpeg": ("mjpeg", serve_answer),
    "tcp-h264": ("h264", serve_raw),
    "tcp-mjpeg": ("mjpeg", serve_raw),
}


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    codec, serve = KINDS[kind]
    camera = Camera(codec)
    change(camera, json.loads(sys.argv[3]) if len(sys.argv) > 3 else {})
    server = socket.create_server(("127.0.0.1", port))
    threading.Thread(target=camera.run, daemon=True).start()
    threading.Thread(target=obey, args=(camera,), daemon=True).start()
    sys.stdout.write(f"{server.getsockname()[1]}\n")
    sys.stdout.flush()
    while True:
        connection, _ = server.accept()
        threading.Thread(target=talk, args=(camera, connection, serve), daemon=True).start()


def talk(camera: Camera, connection: socket.socket, serve: Any) -> None:
    with connection:
        if camera.behaviour.mute:
            time.sleep(3600)
        if not camera.behaviour.refuse:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                serve(camera, connection)
                connection.shutdown(
                    socket.SHUT_RDWR
                )  # where another thread still listens, closing it alone says nothing


def change(camera: Camera, changes: dict[str, Any]) -> None:
    for name, value in changes.items():
        getattr(camera.behaviour, name)
        setattr(camera.behaviour, name, value)


def obey(camera: Camera) -> None:
    for line in sys.stdin:
        change(camera, json.loads(line))
    os._exit(0)  # who started it is gone


if __name__ == "__main__":
    main()
