"""A client subscribes to the hands that a pipeline publishes.

    with HandClient() as hands:
        message = hands.latest(timeout=1.0)      # the newest, for a robot or a viewer
        for message in hands.stream():           # every one, in order, for a recorder
            ...
        for event in hands.events():             # what hands begin and cease to do
            ...

It needs pyzmq, msgspec and NumPy only. Use it from one thread at a time. Nothing runs in the background: whatever has
come is read when `latest`, `stream` or one of the properties is asked.
"""

import struct
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import zmq

from hamba_core.errors import ConfigurationError, WireError
from stages import wire
from stages.common.address import DEFAULT_ADDRESS, HIGHEST_PORT, has_impossible_port
from stages.packets import ClockAnchor, HandEvent
from stages.wire import HandsMessage, ImageMessage, ModelMessage, StatusMessage

SILENCE = 3.0
"""Seconds without a message after which a publisher counts as gone; it sends its status every second."""

State = Literal["waiting", "refused", "running", "ended", "stopped", "failed", "gone"]

_HANDSHAKES = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)

_SAME_HOST_NS = 1_000_000_000  # two hosts that were started in the same second are taken for one
_QUEUE = 1000  # messages ZeroMQ keeps for us while nobody reads
_LARGEST_MESSAGE = 64 << 20  # bytes; a publisher that sends more is hung up on
_MOST_LOST = 10**12  # a number that only a publisher that lies goes beyond
_MOST_STREAMS = 1000  # whose next number is remembered
_MORE_MS = 2  # how long to wait for the rest of a backlog that ZeroMQ still takes from the network
_POLL = 0.1  # seconds between looks at the clock while waiting
_HUNG_UP_OFTEN = 3
_ONE_HAS_KEYS = "only one of the two sides has CURVE keys: give both --server-key and --client-key, or none"


class HandClient:
    """A subscriber. It connects, and re-connects, by itself: the publisher may come later, go, and come back.

    `stream` names one stream; None takes all that the address has (a viewer of one camera needs no name).
    `images` also subscribes to the pictures. `server_key` (the publisher's public key file) and `client_key` (this
    client's secret key file) turn CURVE on.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        stream: str | None = None,
        *,
        images: bool = False,
        server_key: Path | None = None,
        client_key: Path | None = None,
    ) -> None:
        self.address = address
        self.model: ModelMessage | None = None
        """The newest model message; it comes before the first hands."""
        self.status: StatusMessage | None = None
        """The newest status."""
        self.wants_images = images
        self.image: ImageMessage | None = None
        """The newest picture, if `images`."""
        self.pictured: HandsMessage | None = None
        """The hands of the newest picture's frame."""
        self.received = 0
        """Hands messages so far."""
        self.lost = 0
        """Hands messages that were published and never came: gaps in `seq`."""
        self.malformed = 0
        """Messages that broke the protocol and were passed over."""
        self.newest: HandsMessage | None = None
        """The newest hands message, whether or not it has been given out."""
        self.refusal = ""
        self._hung_up = 0  # handshakes in a row that the publisher ended without saying why
        """Why the publisher does not let this client in, while it does not."""
        self._heard: float | None = None
        self._expected: dict[str, tuple[ClockAnchor, int]] = {}  # by stream: the run, by its clock, and its next seq
        self._waiting: deque[HandsMessage] = deque(maxlen=_QUEUE)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.rcvhwm = _QUEUE
        self._socket.linger = 0
        self._socket.maxmsgsize = _LARGEST_MESSAGE
        self._socket.ipv6 = True
        self._socket.reconnect_ivl = 100
        self._socket.reconnect_ivl_max = 1000
        # A publisher that was unplugged rather than closed leaves a dead connection; heartbeats notice it.
        self._socket.heartbeat_ivl = 1000
        self._socket.heartbeat_timeout = 3000
        self._handshakes = self._socket.get_monitor_socket(_HANDSHAKES)
        self._has_keys = server_key is not None
        try:
            self._secure(server_key, client_key)
            for kind in ("model", "status", "hands", *(["image"] if images else [])):
                self._socket.subscribe(f"{kind}/{stream}\0" if stream else f"{kind}/")
            if has_impossible_port(address):
                raise ConfigurationError(
                    f"cannot connect to {address!r}: expected a port up to {HIGHEST_PORT}, as in {DEFAULT_ADDRESS}"
                )
            self._socket.connect(address)
        except BaseException as error:
            self.close()
            if isinstance(error, zmq.ZMQError):
                raise ConfigurationError(
                    f"cannot connect to {address!r}: expected an address such as {DEFAULT_ADDRESS}, found: {error}"
                ) from error
            raise

    def _secure(self, server_key: Path | None, client_key: Path | None) -> None:
        if server_key is None and client_key is None:
            return
        if server_key is None or client_key is None:
            raise ConfigurationError(
                "CURVE needs two files: the publisher's public key (*.key) and this client's secret key (*.key_secret)"
            )
        from zmq.auth import load_certificate

        try:
            self._socket.curve_serverkey = load_certificate(server_key)[0]
            public, secret = load_certificate(client_key)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"CURVE keys: expected files of `hamba keys new`, found: {error}") from error
        if secret is None:
            raise ConfigurationError(f"{client_key}: expected a secret key (*.key_secret), found a public one")
        self._socket.curve_publickey, self._socket.curve_secretkey = public, secret

    def latest(self, timeout: float = 0.0) -> HandsMessage | None:
        """Return the newest hands, or None if nothing new came within `timeout` seconds. Older ones are thrown away."""
        deadline = time.monotonic() + timeout
        while True:
            self._read()
            if self._waiting:
                newest = self._waiting[-1]
                self._waiting.clear()
                return newest
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return None
            self._socket.poll(int(min(remaining, _POLL) * 1000) + 1)

    def stream(self, timeout: float | None = None) -> Iterator[HandsMessage]:
        """Yield every hands message, in order; ends when none has come for `timeout` seconds (None: never)."""
        heard = time.monotonic()
        while True:
            if not self._waiting:
                self._take_one()
            if self._waiting:
                yield self._waiting.popleft()
                heard = time.monotonic()
                continue
            if timeout is not None and time.monotonic() - heard > timeout:
                return
            self._socket.poll(int(_POLL * 1000))

    def events(self, timeout: float | None = None, *, holds: bool = False) -> Iterator[HandEvent]:
        """Yield what hands begin and cease to do, in order; with `holds`, also each frame's "still does".

        `newest` is the message that an event was in. Ends when no message has come for `timeout` seconds (None: never).
        """
        for message in self.stream(timeout):
            self.newest = message
            for event in message.result.events:
                if holds or event.phase != "hold":
                    yield event

    @property
    def state(self) -> State:
        """What is known of the publisher.

        waiting: none has been heard yet. refused: it does not let us in; `refusal` says why. running: it was heard in
        the last three seconds. gone: it fell silent without saying why. ended (its source did), stopped (somebody
        asked), failed: this is what it said last; `status.reason` says why.
        """
        self._read()
        if self._heard is not None and time.monotonic() - self._heard <= SILENCE:
            return self._last_word() or "running"
        self._read_handshakes()
        if self.refusal:
            return "refused"
        return "waiting" if self._heard is None else self._last_word() or "gone"

    @property
    def alive(self) -> bool:
        """Whether `state` is "running"."""
        return self.state == "running"

    def _last_word(self) -> Literal["ended", "stopped", "failed"] | None:
        """Return how the run ended, if that is the last thing heard of it."""
        if self.status is None or (self.newest is not None and self.newest.published_ns > self.status.published_ns):
            return None
        said = self.status.status.state
        return said if said in ("ended", "stopped", "failed") else None  # type: ignore[return-value]

    @property
    def age(self) -> float | None:
        """Seconds since the newest hands were captured; None if on another host, since its clock tells nothing here."""
        self._read()
        return None if self.newest is None else age_of(self.newest)

    def _read(self) -> None:
        """Read everything that has come."""
        backlog = 0
        while self._take_one() or (backlog > 1 and self._socket.poll(_MORE_MS)):
            backlog += 1

    def _take_one(self) -> bool:
        """Read one message if one has come."""
        try:
            data = self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            return False
        self._heard = time.monotonic()
        try:
            message = wire.decode(data)
        except WireError:
            self.malformed += 1
            return True
        match message:
            case HandsMessage():
                self._count(message)
                self.newest = message
                self.lost += len(self._waiting) == _QUEUE  # the oldest makes room: it was not asked for in time
                self._waiting.append(message)
            case ModelMessage():
                self.model = message
            case StatusMessage():
                self.status = message
            case ImageMessage():
                self.image = message
                newest = self.newest  # a frame's hands are sent just before its picture
                same = newest is not None and newest.result.frame.index == message.frame.index
                self.pictured = newest if same else None
        return True

    def _read_handshakes(self) -> None:
        while self._handshakes.poll(0):
            # As zmq.utils.monitor reads it, which would load asyncio.
            (event,) = struct.unpack_from("=H", self._handshakes.recv_multipart()[0])
            match event:
                case zmq.EVENT_HANDSHAKE_SUCCEEDED:
                    self.refusal, self._hung_up = "", 0
                case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
                    self.refusal = (
                        "the publisher does not know this client's key: put its *.key file into the publisher's folder "
                        "of clients"
                    )
                case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL:
                    self.refusal = _ONE_HAS_KEYS
                case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL if self._has_keys:
                    self.refusal = "the publisher hung up, as it does where --server-key is not its own"
                case zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL:
                    # Once, it may have just gone. Again and again, it asks for keys, and hung up before we saw that.
                    self._hung_up += 1
                    if self._hung_up >= _HUNG_UP_OFTEN:
                        self.refusal = _ONE_HAS_KEYS

    def _count(self, message: HandsMessage) -> None:
        stream = message.result.frame.stream
        run, expected = self._expected.get(stream, (message.clock, message.seq))
        if is_another_run(message, run, expected, self.model):
            run = message.clock
        elif message.seq > expected:
            self.lost = min(self.lost + message.seq - expected, _MOST_LOST)
        self._expected[stream] = (run, message.seq + 1)
        if len(self._expected) > _MOST_STREAMS:
            del self._expected[next(iter(self._expected))]
        self.received += 1

    def close(self) -> None:
        """Disconnect."""
        self._socket.disable_monitor()
        self._handshakes.close(0)
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def is_another_run(message: HandsMessage, run: ClockAnchor, expected: int, model: ModelMessage | None) -> bool:
    """Return whether hands belong to another run than the one known by its clock, which would go on with `expected`.

    A run begins to count anew, or introduces itself with its clock. A publisher that names another clock and does
    neither goes on with the same run, and reads its clock more often than it should.
    """
    if message.clock == run:
        return False
    return message.seq < expected or (model is not None and model.clock == message.clock)


def age_of(message: HandsMessage) -> float | None:
    """Return the seconds since these hands were captured; None if that was on another host."""
    now, clock = time.monotonic_ns(), message.clock
    if abs((time.time_ns() - now) - (clock.unix_ns - clock.monotonic_ns)) > _SAME_HOST_NS:
        return None
    return (now - message.result.frame.captured_ns) / 1e9
