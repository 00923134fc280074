"""A camera's poses that somebody publishes over ZeroMQ, as lines of TUM format whose times are Unix time."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
import zmq

from hamba_core.arrays import Array
from hamba_core.errors import ConfigurationError
from stages.packets import Choice, Frame, WorldPose
from stages.world.trajectory import Trajectory, pose_of_line
from stages.world.ways import Way, known_pose, lost_choice

_KEPT: Final = 500  # poses
_AT_ONCE: Final = 1000  # messages that are read before a frame
_LARGEST: Final = 4096  # bytes of a message


class Told(Way):
    """It subscribes to everything on an address; the last part of each message is a line, or several.

    A pose counts for a frame that was captured within `max_age` seconds of it. `wall` gives Unix time, s, and `clock`
    the monotonic clock that frames are stamped by, ns.
    """

    def __init__(
        self, address: str, max_age: float, *, wall: Callable[[], float] = time.time,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:  # fmt: skip
        self._address, self._max_age, self._wall, self._clock = address, max_age, wall, clock
        self._poses: deque[tuple[float, Array]] = deque(maxlen=_KEPT)
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None
        self._socket: zmq.Socket[bytes] | None = None
        self._heard = self._refused = self._lost = 0

    def open(self) -> None:
        """Connect; the publisher may come later. Raises ConfigurationError."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.linger, self._socket.rcvhwm, self._socket.maxmsgsize = 0, _AT_ONCE, _LARGEST
        self._socket.subscribe(b"")
        try:
            self._socket.connect(self._address)
        except zmq.ZMQError as error:
            raise ConfigurationError(
                f"source.world.topic: expected an address to connect to, found {self._address}: {error}"
            ) from error

    def pose(self, frame: Frame) -> WorldPose | None:
        self._read()
        captured = self._wall() - (self._clock() - frame.meta.captured_ns) / 1e9
        trajectory = Trajectory(np.array([t for t, _ in self._poses]), np.array([T for _, T in self._poses]))
        found = known_pose(trajectory, captured, self._max_age, "topic")
        self._lost += found is None
        return found

    def _read(self) -> None:
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            for line in parts[-1].decode("utf-8", "replace").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        """Keep the pose of a line; one that is not newer than the last, or no pose, is refused."""
        try:
            moment, T = pose_of_line(line)
        except ValueError:
            self._refused += 1
            return
        if self._poses and moment <= self._poses[-1][0]:
            self._refused += 1
            return
        self._heard += 1
        self._poses.append((moment, T))

    def choices(self) -> tuple[Choice, ...]:
        told = [Choice("world", "a camera that moves", f"source.world.topic: {self._heard} poses from {self._address}")]
        if self._refused:
            reason = "expected lines of time tx ty tz qx qy qz qw, with rising times"
            told.append(Choice("world poses", "some were refused", reason, fallback=True))
        return (*told, *lost_choice(self._lost, "no pose near their time"))

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        if self._context is not None:
            self._context.term()
        self._socket = self._context = None
