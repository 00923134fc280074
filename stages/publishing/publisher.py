"""The sink that publishes results over ZeroMQ to all who listen. `docs/protocol.md` describes what is sent.

Sending never waits: ZeroMQ's own thread delivers, and a subscriber that does not keep up loses messages once its
bounded queue is full. A loss shows as a gap in `seq`.
"""

import logging
import re
import time
from typing import Final

import zmq

from hamba_core.errors import ConfigurationError, OutputError
from stages import wire
from stages.common.address import DEFAULT_ADDRESS
from stages.contract import Sink
from stages.packets import Choice, FrameResult, RunInfo, Status
from stages.publishing.audience import Audience
from stages.publishing.guard import Guard
from stages.publishing.pictures import to_jpeg
from stages.publishing.settings import PublishSettings, is_local
from stages.wire import HandsMessage, ImageMessage, ModelMessage, StatusMessage

logger = logging.getLogger(__name__)

_LINGER_MS: Final = 500  # for the last status to leave, once the run has ended
_LARGEST_SUBSCRIPTION: Final = 96  # bytes; a topic has at most 72
_LARGEST_HANDSHAKE: Final = 512  # bytes; that of CURVE takes some 300
_REBIND_SECONDS: Final = 20.0  # for ZeroMQ to let the address go, which a busy machine makes long


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
        self._guard: Guard | None = None
        self._audience = Audience("")
        self._run: RunInfo | None = None
        self._seq = 0
        self._images = False
        self._next_image_ns = 0
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
        settings, self._run, self._audience = self._settings, run, Audience(run.stream)
        address = settings.address or DEFAULT_ADDRESS
        self._images = is_local(address) if settings.images is None else settings.images
        self._context = self._shared_context or zmq.Context()
        if settings.server_key is not None:
            self._guard = Guard(self._context, settings.server_key, settings.clients)
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
        socket.maxmsgsize = _LARGEST_SUBSCRIPTION if self._guard is None else _LARGEST_HANDSHAKE
        socket.linger = _LINGER_MS
        socket.ipv6 = True
        if self._guard is not None:
            self._guard.protect(socket)
        try:
            socket.bind(address)
        except zmq.ZMQError:
            socket.disable_monitor()
            socket.close(0)
            raise
        return socket

    def write(self, result: FrameResult) -> None:
        """Send the hands, and the picture if its time has come."""
        if self._run is None:
            return
        self._greet()
        now, clock = time.monotonic_ns(), self._run.clock
        self._send(HandsMessage(self._seq, result, now, clock))
        self._seq += 1
        wanted = self._images and self._audience.wants_pictures
        if wanted and result.image is not None and result.frame.captured_ns >= self._next_image_ns:
            self._next_image_ns = result.frame.captured_ns + int(1e9 / self._settings.image_rate)
            self._send(ImageMessage(result.frame, to_jpeg(result.image, self._settings.image_width), now, clock))

    def status(self, status: Status) -> None:
        """Send the status; new subscribers get the model even while no frames come."""
        if self._run is None:
            return
        if self._guard is not None and self._guard.lost_a_key():
            logger.warning("publish: a client's key was taken away: all are hung up on, those with keys come back")
            self._begin_anew()
        self._greet()
        self._send(StatusMessage(status, time.monotonic_ns(), self._run.clock))

    def _greet(self) -> None:
        """Send the model once for all those who have subscribed to it since the last time; tell of those refused."""
        if self._guard is not None:
            self._guard.tell_refused()
        run = self._run
        if self._socket is None or run is None:
            return
        self._audience.listen(self._socket)
        if self._audience.floods:
            if not self._flood_said:
                self._flood_said = True
                logger.warning(
                    "publish: somebody floods %s with subscriptions: all are hung up on, and those that mean it come "
                    "back; CURVE keys (hamba keys new) keep others out",
                    self.address,
                )
            self._begin_anew()
        if self._audience.is_to_be_greeted(time.monotonic()):
            stamp = time.monotonic_ns()
            self._send(ModelMessage(run.stream, run.topology, run.estimator, run.versions, stamp, run.clock))

    def _begin_anew(self) -> None:
        """Hang up on everybody, since ZeroMQ cannot hang up on one subscriber, and keeps what each has subscribed to.

        Those that want to listen come back within a tenth of a second. Raises OutputError where the address is taken
        meanwhile.
        """
        address = self._endpoint
        self._opened.disable_monitor()
        self._opened.close(0)
        self._audience.forget()
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
        if self._socket is not None:
            self._socket.disable_monitor()
        if self._guard is not None:
            self._guard.close()
        if self._socket is not None:
            self._socket.close()
        if self._context is not None and self._context is not self._shared_context:
            self._context.term()
        self._socket = self._context = self._guard = None


def _open_bind_warning(address: str) -> str:
    return (
        f"anyone who reaches {address} can watch these hands: it is not a loopback address and CURVE is off; "
        "bind tcp://127.0.0.1, or make keys with `hamba keys new`"
    )
