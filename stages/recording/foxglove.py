"""Hands as Foxglove's messages, for its 3D panel: a scene, the camera and how it stands. https://docs.foxglove.dev

The messages are Protobuf, written here field by field: a mesh is laid out by NumPy in one go, which takes a hundredth
of the time of building an object for every vertex. `assets/foxglove_schemas.bin` describes them.
"""

import struct
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array, Float32Array, Int32Array
from hamba_core.hand import BONES, to_quaternion
from hamba_core.view import Intrinsics
from stages.common.palette import JOINT_COLOURS, Colour
from stages.packets import FrameResult, Hand, HandTopology

WORLD: Final = "world"
CAMERA: Final = "camera"
SCENE_SCHEMA: Final = "foxglove.SceneUpdate"
TRANSFORM_SCHEMA: Final = "foxglove.FrameTransform"
CALIBRATION_SCHEMA: Final = "foxglove.CameraCalibration"

_GRID = 2.0**-13  # m; vertices on this grid, a sixteenth of a millimetre off at most, pack to a third
_LINE_WIDTH = 3.0  # px
_LINE_LIST = 2
# One point of a list in a message: field number and length, then x, y, z with their field numbers.
_POINT = np.dtype(
    [("head", "u1"), ("size", "u1"), ("tx", "u1"), ("x", "<f8"), ("ty", "u1"), ("y", "<f8"), ("tz", "u1"), ("z", "<f8")]
)


def schemas() -> bytes:
    """Return the description of all these messages, a Protobuf FileDescriptorSet."""
    return (files("stages.assets") / "foxglove_schemas.bin").read_bytes()


def scene_update(
    result: FrameResult,
    topology: HandTopology,
    time_ns: int,
    *,
    gone: Iterable[int],
    colours: Iterable[Colour],
    meshes: bool,
) -> bytes:
    """Return the hands of a frame, each an entity named for its track, and the removal of the tracks that are gone."""
    stamp = _timestamp(1, time_ns)
    deletions = [_message(1, stamp, _text(3, _entity_id(track))) for track in gone]
    entities = []
    for hand, colour in zip(result.hands, colours, strict=True):
        head = (stamp, _text(2, CAMERA), _text(3, _entity_id(hand.track_id)))
        label = _message(6, _text(1, "side"), _text(2, hand.side))
        mesh = _mesh(hand, topology, colour) if meshes and len(hand.vertices) == topology.vertices else b""
        entities.append(_message(2, *head, label, _message(11, _skeleton(hand.joints)), mesh))
    return b"".join((*deletions, *entities))


def camera_calibration(camera: Intrinsics, width: int, height: int, time_ns: int) -> bytes:
    """Return the camera that saw the hands."""
    K, P = camera.matrix, np.eye(3, 4)
    P[:, :3] = K
    return b"".join(
        (
            _timestamp(1, time_ns),
            _fixed(2, width),
            _fixed(3, height),
            *(_doubles(field, values) for field, values in ((6, K), (7, np.eye(3)), (8, P))),
            _text(9, CAMERA),
        )
    )


LEVEL: Final = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
"""T_world_camera of a level camera: the world's z is up, its y is where the camera looks."""


def camera_transform(time_ns: int, T_world_camera: Array = LEVEL) -> bytes:
    """Return where the camera stands in the world: by T_world_camera (4, 4), or level where nobody knows."""
    quaternion = to_quaternion(T_world_camera[:3, :3])
    rotation = _message(5, *(_double(field, value) for field, value in enumerate(quaternion.tolist(), 1)))
    place = _vector(4, T_world_camera[:3, 3])
    return b"".join((_timestamp(1, time_ns), _text(2, WORLD), _text(3, CAMERA), place, rotation))


def _entity_id(track: int) -> str:
    return f"hand {track}"


def _skeleton(joints: Float32Array) -> bytes:
    return b"".join(
        (
            _integer(1, _LINE_LIST),
            _identity_pose(2),
            _double(3, _LINE_WIDTH),
            _integer(4, 1),  # the width is in pixels
            _points(5, np.round(joints / _GRID) * _GRID),
            _joint_colours(),
            _indices(8, np.array(BONES)),
        )
    )


def _mesh(hand: Hand, topology: HandTopology, colour: Colour) -> bytes:
    # Relative to the wrist, numbers are small and alike from frame to frame.
    wrist = hand.joints[0].astype(np.float64)
    pose = _message(1, _vector(1, wrist), _message(2, _double(4, 1.0)))
    points = _points(2, np.round((hand.vertices - wrist) / _GRID) * _GRID)
    faces = _indices_of(topology, hand.side == "right")
    return _message(12, pose, points, _message(3, *_colour(colour)), faces)


@cache
def _joint_colours() -> bytes:
    return b"".join(_message(7, *_colour(colour)) for colour in JOINT_COLOURS)


@lru_cache(maxsize=8)
def _indices_of(topology: HandTopology, right: bool) -> bytes:
    return _indices(5, topology.faces_right if right else topology.faces_left)


def _colour(colour: Colour) -> Iterable[bytes]:
    return (_double(field, value) for field, value in enumerate((*(c / 255 for c in colour), 1.0), 1))


def _identity_pose(field: int) -> bytes:
    return _message(field, _message(1), _message(2, _double(4, 1.0)))


# Protobuf: a field is its number and kind in one varint, then its value. https://protobuf.dev/programming-guides/encoding


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def _integer(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _double(field: int, value: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", value)


def _fixed(field: int, value: int) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<I", value)


def _message(field: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, value: str) -> bytes:
    return _message(field, value.encode())


def _timestamp(field: int, time_ns: int) -> bytes:
    seconds, nanos = divmod(time_ns, 1_000_000_000)
    return _message(field, _integer(1, seconds), _integer(2, nanos))


def _vector(field: int, xyz: NDArray[np.float64]) -> bytes:
    return _message(field, *(_double(i, value) for i, value in enumerate(xyz, 1)))


def _doubles(field: int, values: NDArray[np.float64]) -> bytes:
    return _message(field, values.astype("<f8").tobytes())


def _indices(field: int, values: Int32Array | NDArray[np.int64]) -> bytes:
    return _message(field, values.astype("<u4").tobytes())


def _points(field: int, points: NDArray[np.floating]) -> bytes:
    """Return points (N, 3) as a repeated message."""
    records = np.empty(len(points), _POINT)
    records["head"], records["size"] = field << 3 | 2, _POINT.itemsize - 2
    records["tx"], records["ty"], records["tz"] = 1 << 3 | 1, 2 << 3 | 1, 3 << 3 | 1
    records["x"], records["y"], records["z"] = points.T
    return records.tobytes()
