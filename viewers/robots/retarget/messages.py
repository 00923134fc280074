"""What is published for robots: `robot/<stream>`, in the style of the hands' own wire format.

`docs/protocol.md` describes it: a topic, one NUL byte and one MessagePack map. Decoding is strict about what it knows
and ignores what it does not.
"""

import math
import re
from typing import Annotated, Final, Literal

import msgspec
import numpy as np
from msgspec import Meta, Struct

from hamba_core.arrays import Array
from hamba_core.errors import WireError
from hamba_core.hand import Side, to_quaternion
from stages.packets import ClockAnchor
from viewers.robots.retarget.retargeter import RobotFrame, RobotHandState, State

VERSION: Final = 1
_TOPIC: Final = re.compile(rb"robot/([A-Za-z0-9_.-]{1,64})")
_LONGEST_TOPIC: Final = len("robot/") + 64

_Count = Annotated[int, Meta(ge=0, le=2**53)]
_Nanoseconds = Annotated[int, Meta(ge=0, lt=2**62)]
_UnixNanoseconds = Annotated[int, Meta(gt=-(2**62), lt=2**62)]
_Number = Annotated[float, Meta(ge=-1e9, le=1e9)]
_Joints = Meta(max_length=128)
_Three = Annotated[list[_Number], Meta(min_length=3, max_length=3)]
_Four = Annotated[list[_Number], Meta(min_length=4, max_length=4)]


class Clock(Struct, frozen=True):
    """One moment on the publishing host's monotonic clock and in Unix time."""

    monotonic_ns: _Nanoseconds
    unix_ns: _UnixNanoseconds


class FrameOf(Struct, frozen=True):
    """The frame that the hands were seen in."""

    index: _Count
    pts: _Number  # s from the start of the source
    captured_ns: _Nanoseconds


class Pose(Struct, frozen=True):
    """A place and a turn."""

    position: _Three  # m
    orientation: _Four  # quaternion x, y, z, w


class RobotHandMessage(Struct, frozen=True, kw_only=True):
    """One robot hand."""

    side: Literal["left", "right"]
    state: Literal["waiting", "following", "released", "holding", "relaxing"]
    id: _Count | None  # of the person's hand
    names: Annotated[list[str], _Joints]
    positions: Annotated[list[_Number], _Joints]  # rad
    velocities: Annotated[list[_Number], _Joints]  # rad/s
    held_back: bool
    delay: _Number  # s
    wrist: Pose | None
    target: Pose


class RobotMessage(Struct, frozen=True, kw_only=True):
    """All robot hands at one frame. `seq` counts what is published on this topic: a gap is a loss."""

    v: int
    stream: str
    seq: _Count
    robot: str
    frame: FrameOf
    published_ns: _Nanoseconds
    clock: Clock
    reference: Literal["camera", "world"]
    hands: Annotated[list[RobotHandMessage], Meta(max_length=2)]

    @property
    def topic(self) -> str:
        return f"robot/{self.stream}"

    @property
    def captured_unix_ns(self) -> int:
        """Unix time of capture."""
        return self.frame.captured_ns - self.clock.monotonic_ns + self.clock.unix_ns

    def hand(self, side: Side) -> RobotHandMessage | None:
        """Return the robot hand of this side."""
        return next((hand for hand in self.hands if hand.side == side), None)


class _Version(Struct):
    v: int


_DECODER: Final = msgspec.msgpack.Decoder(RobotMessage)
_VERSION_DECODER: Final = msgspec.msgpack.Decoder(_Version)
_ENCODER: Final = msgspec.msgpack.Encoder()


def robot_message(
    seq: int, robot: str, frame: RobotFrame, names: dict[Side, tuple[str, ...]], published_ns: int, clock: ClockAnchor
) -> RobotMessage:
    """Return the message of a frame; `names` are those of the joints of each side."""
    meta = frame.frame
    return RobotMessage(
        v=VERSION,
        stream=meta.stream,
        seq=seq,
        robot=robot,
        frame=FrameOf(meta.index, float(meta.pts), meta.captured_ns),
        published_ns=published_ns,
        clock=Clock(clock.monotonic_ns, clock.unix_ns),
        reference=frame.reference,
        hands=[_hand_message(state, names[state.side]) for state in frame.hands],
    )


def _hand_message(state: RobotHandState, names: tuple[str, ...]) -> RobotHandMessage:
    said: State = state.state
    return RobotHandMessage(
        side=state.side,
        state=said,
        id=state.track_id,
        names=list(names),
        positions=state.positions.tolist(),
        velocities=state.velocities.tolist(),
        held_back=state.held_back,
        delay=float(state.delay),
        wrist=None if state.wrist is None else pose_of(state.wrist),
        target=pose_of(state.target),
    )


def pose_of(T: Array) -> Pose:
    """Return the place and the turn of T (4, 4)."""
    return Pose(np.asarray(T[:3, 3], np.float64).tolist(), to_quaternion(T[:3, :3]).tolist())


def encode(message: RobotMessage) -> bytes:
    """Return the bytes to publish. Raises WireError where `decode` would refuse them."""
    content = message.topic.encode() + b"\0" + _ENCODER.encode(message)
    decode(content)
    return content


def decode(message: bytes | bytearray | memoryview) -> RobotMessage:
    """Return what `encode` was given. Raises WireError, and nothing else, on any bytes."""
    view = memoryview(message)
    head = bytes(view[: _LONGEST_TOPIC + 1])
    length = head.find(b"\0")
    found = _TOPIC.fullmatch(head[:length]) if length >= 0 else None
    if found is None:
        raise WireError(f"message: expected a topic robot/STREAM and a NUL byte first, found {head[:24]!r}")
    content = view[length + 1 :]
    try:
        given = _DECODER.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        _check_version(content, error)
        raise WireError(f"robot message: {error}") from error
    if given.v != VERSION:
        raise _other_version(given.v)
    if given.stream != found[1].decode():
        raise WireError(f"stream: expected {found[1].decode()!r} as in the topic, found {given.stream[:64]!r}")
    for hand in given.hands:
        _check(hand)
    return given


def _check(hand: RobotHandMessage) -> None:
    if not len(hand.names) == len(hand.positions) == len(hand.velocities):
        raise WireError(
            f"hands: expected a position and a velocity for each of {len(hand.names)} names, "
            f"found {len(hand.positions)} and {len(hand.velocities)}"
        )
    poses = [hand.target, *([hand.wrist] if hand.wrist is not None else [])]
    numbers = [*hand.positions, *hand.velocities, hand.delay, *(n for pose in poses for n in pose.position)]
    if not all(map(math.isfinite, numbers)):
        raise WireError("hands: expected finite numbers, found others")
    for pose in poses:
        length = math.sqrt(sum(n * n for n in pose.orientation))
        if not abs(length - 1) < 1e-3:
            raise WireError(f"orientation: expected a quaternion of length 1, found {length:.4g}")


def _check_version(content: memoryview, error: Exception) -> None:
    """Raise WireError where the message is of another version, which is the better explanation."""
    try:
        version = _VERSION_DECODER.decode(content).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return
    if version != VERSION:
        raise _other_version(version) from error


def _other_version(version: int) -> WireError:
    return WireError(f"robot message: expected version {VERSION}, found {version}; update whichever program is older")
