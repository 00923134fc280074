"""A publisher of robot hands over ZeroMQ: the newest counts, and nobody who listens slows it."""

import logging
import re
import time

import zmq

from hamba_core.errors import OutputError
from hamba_core.hand import Side
from stages.common.address import HIGHEST_PORT, has_impossible_port
from stages.packets import ClockAnchor
from stages.publishing import is_local
from viewers.robots.retarget.messages import RobotMessage, encode, robot_message
from viewers.robots.retarget.retargeter import RobotFrame

logger = logging.getLogger(__name__)

DEFAULT_ROBOT_ADDRESS = "tcp://127.0.0.1:5567"
_QUEUE = 60  # messages kept for a subscriber that does not keep up
_LINGER_MS = 200


class RobotPublisher:
    """Binds a PUB socket. Raises OutputError where the address is taken or none."""

    def __init__(self, address: str, robot: str, names: dict[Side, tuple[str, ...]]) -> None:
        self._robot, self._names, self._seq = robot, names, 0
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.PUB)
        self._socket.sndhwm = _QUEUE
        self._socket.linger = _LINGER_MS
        self._socket.ipv6 = True
        try:
            if has_impossible_port(address):
                raise OutputError(f"cannot publish on {address}: expected a port up to {HIGHEST_PORT}")
            self._socket.bind(address)
            if not is_local(address):
                logger.warning(
                    "anyone who reaches %s can read this robot's joints: it is not a loopback address", address
                )
        except BaseException as error:
            self.close()
            if isinstance(error, zmq.ZMQError):
                raise OutputError(
                    f"cannot publish on {address}: expected a free address of this machine, found: {error}; "
                    "name another with --publish"
                ) from error
            raise

    @property
    def address(self) -> str:
        """The address that is bound."""
        endpoint = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        text = endpoint.decode().rstrip("\0") if isinstance(endpoint, bytes) else str(endpoint)
        return re.sub(r"\[::ffff:([0-9.]+)\]", r"\1", text)  # IPv4, as an IPv6 socket writes it

    def publish(self, frame: RobotFrame, clock: ClockAnchor) -> RobotMessage:
        """Send a frame's robot hands, and return what was sent."""
        message = robot_message(self._seq, self._robot, frame, self._names, time.monotonic_ns(), clock)
        self._seq += 1
        self._socket.send(encode(message))
        return message

    def close(self) -> None:
        """Stop publishing."""
        self._socket.close()
        self._context.term()
