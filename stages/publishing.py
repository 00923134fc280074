"""Publish results over ZeroMQ to all who listen. `docs/protocol.md` describes what is sent.

Sending never waits: ZeroMQ's own thread delivers, and a subscriber that does not keep up loses messages once its
bounded queue is full. A loss shows as a gap in `seq`.
"""

import logging
import re
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import zmq
from pydantic import Field, field_validator
from zmq.auth import load_certificate
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from hamba_core.errors import ConfigurationError, OutputError, said
from stages import wire
from stages.common.address import DEFAULT_ADDRESS as DEFAULT_ADDRESS, HIGHEST_PORT, has_impossible_port
from stages.contract import Sink
from stages.packets import Choice, FrameResult, RunInfo, Status
from stages.settings import StageSettings, UserPath
from stages.wire import HandsMessage, ImageMessage, ModelMessage, StatusMessage

if TYPE_CHECKING:
    from stages.packets import Image

logger = logging.getLogger(__name__)

_LINGER_MS = 500  # for the last status to leave, once the run has ended
_JPEG_QUALITY = 80
_LARGEST_SUBSCRIPTION: Final = 96  # bytes; a topic has at most 72
_LARGEST_HANDSHAKE: Final = 512  # bytes; that of CURVE takes some 300
_SUBSCRIPTIONS_AT_ONCE: Final = 2000  # that are looked at before each message
_GREETINGS, _GREETINGS_A_SECOND = 30, 5.0  # models sent at once, and in the long run
_MOST_USELESS_BYTES: Final = 2 << 20  # ZeroMQ takes some 50 bytes for each of them
_REBIND_SECONDS: Final = 20.0  # for ZeroMQ to let the address go, which a busy machine makes long
_REFUSALS: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class PublishSettings(StageSettings):
    """Whether, where and what is published."""

    address: str | None = Field(
        None, description=f"ZeroMQ address to bind, for example {DEFAULT_ADDRESS}; none publishes nothing"
    )
    vertices: wire.VertexForm = Field(
        "float32", description="float32, float16 (half the size, within 0.25 mm nearer than 1 m), or none"
    )
    queue: int = Field(60, ge=1, le=10_000, description="messages kept for a subscriber that does not keep up")
    images: bool | None = Field(
        None, description="also publish the pictures, as JPEG; none: where this machine alone can connect"
    )
    image_width: int = Field(640, ge=16, le=4096, description="pictures are at most this wide")
    image_rate: float = Field(30.0, gt=0, le=240, description="pictures a second at most")
    server_key: UserPath | None = Field(
        None, description="CURVE secret key of this publisher, made by `hamba keys new`; none leaves CURVE off"
    )
    clients: UserPath | None = Field(
        None, description="folder of the public keys that alone may connect, with server_key"
    )

    @field_validator("address")
    @classmethod
    def _is_an_address(cls, address: str | None) -> str | None:
        if address is not None and not address.startswith(("tcp://", "ipc://", "inproc://")):
            raise ValueError(f"expected an address such as {DEFAULT_ADDRESS} or ipc:///tmp/hands")
        if address is not None and has_impossible_port(address):
            raise ValueError(f"expected a port up to {HIGHEST_PORT}")
        return address


class Publisher(Sink):
    """It binds an XPUB socket and sends hands, status, pictures, and the model to every new subscriber."""

    name = "publish"

    def __init__(self, settings: PublishSettings, context: zmq.Context[zmq.Socket[bytes]] | None = None) -> None:
        if settings.clients is not None and settings.server_key is None:
            raise ConfigurationError(
                "publish.clients: expected publish.server_key beside it, found none; make keys with `hamba keys new`"
            )
        self._settings = settings
        self._shared_context = context
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._authenticator: ThreadAuthenticator | None = None
        self._handshakes: zmq.Socket[bytes] | None = None
        self._refusals_said: set[str] = set()
        self._run: RunInfo | None = None
        self._keys: tuple[bytes, bytes] | None = None
        self._seq = 0
        self._images = False
        self._next_image_ns = 0
        self._picture_topics: set[bytes] = set()  # that pictures go to
        self._known: frozenset[tuple[str, int]] = frozenset()  # keys of clients
        self._wanted = False  # the model, by a subscriber that has not had it
        self._greetings_left, self._greeted = float(_GREETINGS), 0.0
        self._useless_bytes = 0  # of subscriptions to what is not published, which ZeroMQ keeps
        self._flood_said = False

    @property
    def address(self) -> str:
        """The address that is bound, with the port that was found free if `:*` was asked for."""
        return re.sub(r"\[::ffff:([0-9.]+)\]", r"\1", self._endpoint)  # IPv4, as an IPv6 socket writes it

    @property
    def _endpoint(self) -> str:
        endpoint = self._opened.getsockopt(zmq.LAST_ENDPOINT)
        return endpoint.decode().rstrip("\0") if isinstance(endpoint, bytes) else str(endpoint)

    @property
    def _opened(self) -> "zmq.Socket[bytes]":
        if self._socket is None:
            raise OutputError("the publisher is not open: expected open() before it is used")
        return self._socket

    def open(self, run: RunInfo) -> None:
        """Bind. Raises OutputError where the address is in use or not this machine's, ConfigurationError for keys."""
        settings, self._run = self._settings, run
        address = settings.address or DEFAULT_ADDRESS
        self._images = is_local(address) if settings.images is None else settings.images
        self._context = self._shared_context or zmq.Context()
        if settings.server_key is not None:
            self._secure(settings.server_key, settings.clients)
        elif not is_local(address):
            logger.warning("%s", _open_bind_warning(address))
        try:
            self._socket = self._bound(address)
        except zmq.ZMQError as error:
            hint = "another program (another run?) has it" if error.errno == zmq.EADDRINUSE else str(error)
            raise OutputError(
                f"cannot publish on {address}: expected a free address of this machine, found: {hint}; "
                "publish on another, for example tcp://127.0.0.1:5558 (hamba run --address, hamba play --publish)"
            ) from error

    def _bound(self, address: str) -> "zmq.Socket[bytes]":
        """Return a socket that is bound here. Raises ZMQError."""
        if self._context is None:
            raise OutputError("the publisher is not open: expected open() before it is used")
        socket = self._context.socket(zmq.XPUB)
        socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # every subscriber is announced, not the first of a topic only
        socket.sndhwm = self._settings.queue
        # ZeroMQ takes all subscriptions that wait before it sends anything, for as long as more come. A few at a time
        # from each subscriber (with 1, none comes through CURVE), and small ones: then a flood of them waits in the
        # flooder's own queue, and each few of them for the flooder to be awake.
        socket.rcvhwm = 2
        socket.rcvbuf = 1024
        socket.maxmsgsize = _LARGEST_SUBSCRIPTION if self._keys is None else _LARGEST_HANDSHAKE
        socket.linger = _LINGER_MS
        socket.ipv6 = True
        if self._keys is not None:
            socket.curve_publickey, socket.curve_secretkey = self._keys
            socket.curve_server = True
            if self._handshakes is not None:
                self._handshakes.close(0)
            self._handshakes = socket.get_monitor_socket(_REFUSALS)
        try:
            socket.bind(address)
        except zmq.ZMQError:
            socket.disable_monitor()
            socket.close(0)
            raise
        return socket

    def _secure(self, server_key: Path, clients: Path | None) -> None:
        if self._context is None:
            return
        self._keys = load_secret_key(server_key)
        if clients is None or not any(clients.glob("*.key")):
            raise ConfigurationError(
                f"publish.clients: expected a folder of public keys (*.key) that may connect, found {clients}; "
                "make a pair for each client with `hamba keys new`"
            )
        self._authenticator = ThreadAuthenticator(self._context, log=logger)
        self._authenticator.start()
        self._authenticator.configure_curve(domain="*", location=clients)
        self._known = _keys_in(clients)

    def write(self, result: FrameResult) -> None:
        """Send the hands, and the picture if its time has come."""
        if self._run is None:
            return
        self._greet()
        now, clock = time.monotonic_ns(), self._run.clock
        self._send(HandsMessage(self._seq, result, now, clock))
        self._seq += 1
        wanted = self._images and bool(self._picture_topics)
        if wanted and result.image is not None and result.frame.captured_ns >= self._next_image_ns:
            self._next_image_ns = result.frame.captured_ns + int(1e9 / self._settings.image_rate)
            self._send(ImageMessage(result.frame, _jpeg(result.image, self._settings.image_width), now, clock))

    def status(self, status: Status) -> None:
        """Send the status; new subscribers get the model even while no frames come."""
        if self._run is None:
            return
        self._look_at_clients()
        self._greet()
        self._send(StatusMessage(status, time.monotonic_ns(), self._run.clock))

    def _look_at_clients(self) -> None:
        """Let in whose key was added, and hang up on whose key was taken away."""
        if self._authenticator is None or self._settings.clients is None:
            return
        known, self._known = self._known, _keys_in(self._settings.clients)
        if self._known != known:
            self._authenticator.configure_curve(domain="*", location=self._settings.clients)
            if not known <= self._known:
                logger.warning("publish: a client's key was taken away: all are hung up on, those with keys come back")
                self._begin_anew()

    def _greet(self) -> None:
        """Send the model once for all those who have subscribed to it since the last time; tell of those refused."""
        while self._handshakes is not None and self._handshakes.poll(0):
            handshake = recv_monitor_message(self._handshakes)
            refusal = _why_refused(handshake["event"], handshake["value"])
            if refusal not in self._refusals_said:  # such a client tries again every second
                self._refusals_said.add(refusal)
                logger.warning("publish: a client was refused: %s", refusal)
        run = self._run
        if self._socket is None or run is None:
            return
        now = time.monotonic()
        self._read_subscriptions(run.stream)
        self._greetings_left = min(_GREETINGS, self._greetings_left + (now - self._greeted) * _GREETINGS_A_SECOND)
        self._greeted = now
        if self._wanted and self._greetings_left >= 1:
            self._wanted, self._greetings_left = False, self._greetings_left - 1
            stamp = time.monotonic_ns()
            self._send(ModelMessage(run.stream, run.topology, run.estimator, run.versions, stamp, run.clock))

    def _read_subscriptions(self, stream: str) -> None:
        """Look at some of what subscribers have sent, and return whether one of them wants the model."""
        topics = [f"{kind}/{stream}\0".encode() for kind in wire.KINDS]
        for _ in range(_SUBSCRIPTIONS_AT_ONCE):
            try:
                event = self._opened.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            subscribed = event[1:] if event[:1] == b"\1" else None
            if subscribed is None:
                self._picture_topics.discard(event[1:])  # the last of its subscribers has gone
                continue
            if topics[wire.KINDS.index("image")].startswith(subscribed):
                self._picture_topics.add(subscribed)
            self._wanted = self._wanted or topics[wire.KINDS.index("model")].startswith(subscribed)
            if not any(topic.startswith(subscribed) for topic in topics):
                self._useless_bytes += len(subscribed)
        if self._useless_bytes > _MOST_USELESS_BYTES:
            if not self._flood_said:
                self._flood_said = True
                logger.warning(
                    "publish: somebody floods %s with subscriptions: all are hung up on, and those that mean it come "
                    "back; CURVE keys (hamba keys new) keep others out",
                    self.address,
                )
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Hang up on everybody, since ZeroMQ cannot hang up on one subscriber, and keeps what each has subscribed to.

        Those that want to listen come back within a tenth of a second. Raises OutputError where the address is taken
        meanwhile.
        """
        address = self._endpoint
        self._opened.disable_monitor()
        self._opened.close(0)
        self._useless_bytes = 0
        self._picture_topics.clear()
        deadline = time.monotonic() + _REBIND_SECONDS
        while True:
            try:
                self._socket = self._bound(address)
                return
            except zmq.ZMQError as error:  # the old socket is closed by ZeroMQ's own thread, a moment later
                if time.monotonic() > deadline:
                    self._socket = None
                    raise OutputError(f"cannot publish on {address} again: expected it free, found: {error}") from error
                time.sleep(0.001)

    def _send(self, message: wire.Message) -> None:
        if self._socket is not None:
            # XPUB drops for subscribers that are full and never waits; NOBLOCK states it.
            self._socket.send(wire.encode(message, self._settings.vertices), zmq.NOBLOCK)

    def choices(self) -> tuple[Choice, ...]:
        """Return the address, and how it is protected."""
        if self._socket is None:
            return ()
        if self._settings.server_key is not None:
            return (Choice("publish", self.address, "CURVE: only the clients in publish.clients may connect"),)
        if is_local(self.address):
            pictures = "; pictures too, while somebody looks" if self._images else ""
            return (Choice("publish", self.address, f"this machine alone can connect{pictures}"),)
        return (Choice("publish", self.address, _open_bind_warning(self.address), fallback=True),)

    def close(self) -> None:
        """Let the last messages leave, for half a second at most."""
        if self._authenticator is not None:
            self._authenticator.stop()
        if self._socket is not None:
            self._socket.disable_monitor()
            if self._handshakes is not None:
                self._handshakes.close(0)
            self._socket.close()
        if self._context is not None and self._context is not self._shared_context:
            self._context.term()
        self._socket = self._context = self._authenticator = self._handshakes = None


def _why_refused(event: int, detail: int) -> str:
    match event:
        case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return "its public key is not in the folder publish.clients"
        case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL if detail != zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return "it takes this publisher for another: its --server-key is not ours"
        case _:  # both sides see the mismatch; where the client is the first to hang up, we only see it go
            return "it came without keys"


def is_local(address: str) -> bool:
    """Return whether only this machine can connect to what is bound there."""
    scheme, _, rest = address.partition("://")
    host = rest.rpartition(":")[0].strip("[]")
    return scheme in {"ipc", "inproc"} or host in {"localhost", "::1"} or host.startswith("127.")


def _keys_in(folder: Path) -> frozenset[tuple[str, int]]:
    """Return the public keys of a folder, by name, and when they were last written."""
    found = set()
    for path in folder.glob("*.key"):
        with suppress(OSError):
            found.add((path.name, path.stat().st_mtime_ns))
    return frozenset(found)


def load_secret_key(path: Path) -> tuple[bytes, bytes]:
    """Return public and secret part of a key file; warn of one that others can read. Raises ConfigurationError."""
    try:
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            logger.warning("%s: others on this machine can read this secret key; chmod 600 %s", path, path)
        public, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: expected a CURVE key made by `hamba keys new`, found: {said(error)}"
        ) from error
    if secret is None:
        raise ConfigurationError(f"{path}: expected a secret key (*.key_secret), found a public one")
    return public, secret


def _open_bind_warning(address: str) -> str:
    return (
        f"anyone who reaches {address} can watch these hands: it is not a loopback address and CURVE is off; "
        "bind tcp://127.0.0.1, or make keys with `hamba keys new`"
    )


def _jpeg(image: "Image", width: int) -> bytes:
    import cv2

    if image.shape[1] > width:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise OutputError(f"cannot encode a picture of {image.shape[1]}x{image.shape[0]} as JPEG")
    return data.tobytes()
