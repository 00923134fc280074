"""Publish: results over ZeroMQ to whoever listens. `docs/protocol.md` describes what is sent.

Sending never waits: ZeroMQ's own thread delivers, and a subscriber that does not keep up loses messages once its
bounded queue is full. A loss shows as a gap in `seq`.
"""

import logging
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import zmq
from pydantic import Field, field_validator
from zmq.auth import load_certificate
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from hamba_core.errors import ConfigurationError, OutputError
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
    images: bool = Field(False, description="also publish the pictures, as JPEG")
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
    """Binds an XPUB socket and sends hands, status, pictures, and the model to every new subscriber."""

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
        self._seq = 0
        self._next_image_ns = 0

    @property
    def address(self) -> str:
        """Where it is bound, with the port that was found free if `:*` was asked for."""
        if self._socket is None:
            raise OutputError("the publisher is not open: expected open() before its address is asked for")
        endpoint = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        text = endpoint.decode().rstrip("\0") if isinstance(endpoint, bytes) else str(endpoint)
        return re.sub(r"\[::ffff:([0-9.]+)\]", r"\1", text)  # IPv4, as an IPv6 socket writes it

    def open(self, run: RunInfo) -> None:
        """Bind. Raises OutputError where the address is in use or not this machine's, ConfigurationError for keys."""
        settings, self._run = self._settings, run
        address = settings.address or DEFAULT_ADDRESS
        self._context = self._shared_context or zmq.Context()
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSE, 1)  # every subscriber is announced, not the first of a topic only
        self._socket.sndhwm = settings.queue
        self._socket.linger = _LINGER_MS
        self._socket.ipv6 = True
        if settings.server_key is not None:
            self._secure(settings.server_key, settings.clients)
        elif not is_local(address):
            logger.warning("%s", _open_bind_warning(address))
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            hint = "another program (another run?) has it" if error.errno == zmq.EADDRINUSE else str(error)
            raise OutputError(
                f"cannot publish on {address}: expected a free address of this machine, found: {hint}; "
                "publish on another, for example tcp://127.0.0.1:5558 (hamba run --address, hamba play --publish)"
            ) from error

    def _secure(self, server_key: Path, clients: Path | None) -> None:
        if self._context is None or self._socket is None:
            return
        public, secret = load_secret_key(server_key)
        if clients is None or not any(clients.glob("*.key")):
            raise ConfigurationError(
                f"publish.clients: expected a folder of public keys (*.key) that may connect, found {clients}; "
                "make a pair for each client with `hamba keys new`"
            )
        self._authenticator = ThreadAuthenticator(self._context, log=logger)
        self._authenticator.start()
        self._authenticator.configure_curve(domain="*", location=clients)
        self._socket.curve_publickey, self._socket.curve_secretkey = public, secret
        self._socket.curve_server = True
        self._handshakes = self._socket.get_monitor_socket(_REFUSALS)

    def write(self, result: FrameResult) -> None:
        """Send the hands, and the picture if its time has come."""
        if self._run is None:
            return
        self._greet()
        now, clock = time.monotonic_ns(), self._run.clock
        self._send(HandsMessage(self._seq, result, now, clock))
        self._seq += 1
        if self._settings.images and result.image is not None and result.frame.captured_ns >= self._next_image_ns:
            self._next_image_ns = result.frame.captured_ns + int(1e9 / self._settings.image_rate)
            self._send(ImageMessage(result.frame, _jpeg(result.image, self._settings.image_width), now, clock))

    def status(self, status: Status) -> None:
        """Send the status; new subscribers get the model even while no frames come."""
        if self._run is None:
            return
        self._greet()
        self._send(StatusMessage(status, time.monotonic_ns(), self._run.clock))

    def _greet(self) -> None:
        """Send the model once for all those who have subscribed to it since the last time; tell of those refused."""
        while self._handshakes is not None and self._handshakes.poll(0):
            handshake = recv_monitor_message(self._handshakes)
            refusal = _why_refused(handshake["event"], handshake["value"])
            if refusal not in self._refusals_said:  # such a client tries again every second
                self._refusals_said.add(refusal)
                logger.warning("publish: a client was refused: %s", refusal)
        socket, run = self._socket, self._run
        if socket is None or run is None:
            return
        model = ModelMessage(run.stream, run.topology, run.estimator, run.versions, time.monotonic_ns(), run.clock)
        topic, wanted = model.topic.encode() + b"\0", False
        while True:
            try:
                event = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            wanted = wanted or (event[:1] == b"\1" and topic.startswith(event[1:]))
        if wanted:
            self._send(model)

    def _send(self, message: wire.Message) -> None:
        if self._socket is not None:
            # XPUB drops for subscribers that are full and never waits; NOBLOCK states it.
            self._socket.send(wire.encode(message, self._settings.vertices), zmq.NOBLOCK)

    def choices(self) -> tuple[Choice, ...]:
        """The address, and how it is protected."""
        if self._socket is None:
            return ()
        if self._settings.server_key is not None:
            return (Choice("publish", self.address, "CURVE: only the clients in publish.clients may connect"),)
        if is_local(self.address):
            return (Choice("publish", self.address, "this machine alone can connect"),)
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
    """Whether only this machine can connect to what is bound there."""
    scheme, _, rest = address.partition("://")
    host = rest.rpartition(":")[0].strip("[]")
    return scheme in {"ipc", "inproc"} or host in {"localhost", "::1"} or host.startswith("127.")


def load_secret_key(path: Path) -> tuple[bytes, bytes]:
    """Public and secret part of a key file. Raises ConfigurationError."""
    try:
        public, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: expected a CURVE key made by `hamba keys new`, found: {error}") from error
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
