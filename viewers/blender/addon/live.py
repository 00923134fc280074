"""Follows hands live: what `hamba osc` sends over UDP poses an armature of each side."""

import socket
from typing import Any

import bpy
import numpy as np

from .armature import Poser, new_armature
from .osc_packets import MOST_PACKET, messages_in
from .skeleton import MODEL_OF_JOINT, matrix_of, rest_joints

PORT = 9000
SECONDS = 1 / 60
"""Between looks at the socket."""
_MOST_PACKETS = 200  # at once


class Following:
    """A socket, and the armatures that it poses. `step` reads what has come."""

    def __init__(self, port: int = PORT, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind((host, port))
        except OSError:
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        self.frames = 0
        self._hands: dict[str, tuple[Any, Poser]] = {}
        self._joints: dict[str, Any] = {}

    def step(self) -> None:
        """Read what has come, and pose by the newest."""
        newest: dict[str, tuple[Any, Any]] = {}
        for _ in range(_MOST_PACKETS):
            try:
                packet = self._socket.recv(MOST_PACKET)
            except OSError:  # nothing more
                break
            try:
                for address, values in messages_in(packet):
                    self._take(address.split("/"), values, newest)
            except ValueError:
                continue  # somebody else's packet
        for side, (joints, rotations) in newest.items():
            self._pose(side, joints, rotations)

    def _take(self, parts: list[str], values: tuple[Any, ...], newest: dict[str, tuple[Any, Any]]) -> None:
        if parts[-1] == "frame":
            self.frames += 1
        if len(parts) < 3 or parts[-2] not in ("left", "right"):
            return
        side = parts[-2]
        if parts[-1] == "joints" and len(values) == 63:
            self._joints[side] = np.array(values, float).reshape(21, 3)
        elif parts[-1] == "rotations" and len(values) == 64 and side in self._joints:
            model = matrix_of(np.array(values, float).reshape(16, 4))
            turned = np.broadcast_to(np.eye(3), (21, 3, 3)).copy()
            for joint, number in enumerate(MODEL_OF_JOINT):
                if number is not None:
                    turned[joint] = model[number]
            if np.isfinite(turned).all() and np.isfinite(self._joints[side]).all():
                newest[side] = self._joints[side], turned
        elif parts[-1] == "seen" and values and side in self._hands:
            self._hands[side][0].hide_viewport = not values[0]

    def _pose(self, side: str, joints: Any, rotations: Any) -> None:
        if side not in self._hands:
            name = f"live {side}"
            thing = new_armature(name, rest_joints(rotations[None], joints[None]), bpy.context.scene.collection)
            self._hands[side] = thing, Poser(thing)
        self._hands[side][1].pose(rotations, joints[0])

    def close(self) -> None:
        """Close the socket; the armatures stay."""
        self._socket.close()


_following: Following | None = None


def start(port: int) -> Following:
    """Follow until `stop`. Raises OSError where the port is taken."""
    global _following
    stop()
    _following = Following(port)
    bpy.app.timers.register(_tick)
    return _following


def stop() -> None:
    """Stop following, if it does."""
    global _following
    if _following is not None:
        _following.close()
    _following = None


def is_on() -> bool:
    """Return whether hands are followed."""
    return _following is not None


def _tick() -> float | None:
    if _following is None:
        return None
    _following.step()
    return SECONDS
