"""Hands as ROS 2 messages, built once as plain values: the live node and bags take the same.

Standard types only. Frames are ROS's: the camera's is an optical frame (REP 103), which is OpenCV's: x right, y down,
z forward. A joint's own frame has x along the bone to its tip, z out of the back of the hand, and y to the left.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, JOINT_PARENTS, SIDES, Side, close_holes, to_quaternion
from hamba_core.text import readable
from stages.common.openxr_joints import OURS_IN_26, has_bones, poses_26
from stages.common.palette import hand_colour
from stages.packets import FrameMeta, FrameResult, Hand, HandTopology

_ADD, _DELETE, _TRIANGLE_LIST = 0, 2, 11
"""Of visualization_msgs/Marker."""
_R_XR_ROS: Final = np.array([[0.0, -1, 0], [0, 0, 1], [-1, 0, 0]])
"""Columns are ROS's x, y, z of a joint in OpenXR's axes: -z, -x, y."""


@dataclass(frozen=True)
class RosValue:
    """A message or a part of one: its type, as `geometry_msgs/msg/Pose`, and all its fields.

    A field is a number, a text, a RosValue, a list of those, RosPoints, or an array of numbers.
    """

    type: str
    fields: Mapping[str, Any]


class RosPoints(NamedTuple):
    """Many geometry_msgs/msg/Point, (N, 3) m."""

    rows: Array


class RosTopic(NamedTuple):
    """A topic and what is on it."""

    name: str
    type: str
    reliable: bool  # as transforms are; everything else is sensor data, of which the newest counts


@dataclass(frozen=True)
class RosNames:
    """Names of topics and frames of one stream."""

    stream: str
    parent: str = ""  # the frame that hands are under; empty: <stream>_camera_optical_frame
    world: str = "world"  # the frame that the parent is under where the run knows where its camera is

    @property
    def space(self) -> str:
        """The stream's name as ROS has names."""
        return ros_name(self.stream)

    @property
    def frame(self) -> str:
        """The frame that hands are under."""
        return self.parent or f"{self.space}_camera_optical_frame"

    def topic(self, rest: str) -> str:
        """Return a topic of this stream."""
        return f"/{self.space}/{rest}"

    def joint_frame(self, side: Side, joint: int) -> str:
        """Return the frame of a joint."""
        return f"{self.space}_{side}_{JOINT_NAMES[joint]}"


def ros_name(text: str) -> str:
    """Return a text as ROS has names: letters, digits and underscores, no digit first."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", readable(text)).strip("_") or "hands"
    return f"s{name}" if name[0].isdigit() else name


def topics_of(names: RosNames, *, mesh: bool = True, robot: bool = False) -> tuple[RosTopic, ...]:
    """Return the topics that a stream has."""
    sides = [
        (f"{side}/{rest}", kind)
        for side in SIDES
        for rest, kind in (
            ("joints", "geometry_msgs/msg/PoseArray"),
            *([("mesh", "visualization_msgs/msg/Marker")] if mesh else []),
            *([("joint_states", "sensor_msgs/msg/JointState")] if robot else []),
        )
    ]
    each = (*sides, ("camera_info", "sensor_msgs/msg/CameraInfo"))
    return (
        RosTopic("/tf", "tf2_msgs/msg/TFMessage", True),
        *(RosTopic(names.topic(rest), kind, False) for rest, kind in each),
    )


def messages_of(
    result: FrameResult, topology: HandTopology | None, names: RosNames, stamp_ns: int, gone: Sequence[Hand] = ()
) -> Iterator[tuple[str, RosValue]]:
    """Yield a frame's messages with their topics; `stamp_ns` is Unix time of capture.

    Meshes come where `topology` is given; those of `gone`, hands that were there before, are taken away.
    """
    header = _header(names.frame, stamp_ns)
    yield names.topic("camera_info"), camera_info(result.frame, header)
    transforms = []
    if (world := result.frame.world) is not None:
        transforms.append(_transform(_header(names.world, stamp_ns), names.frame, world.T_world_camera))
    for hand in _one_a_side(result.hands):
        poses = joint_poses(hand)
        transforms += _joint_transforms(hand.side, poses, names, header, stamp_ns)
        yield (
            names.topic(f"{hand.side}/joints"),
            RosValue("geometry_msgs/msg/PoseArray", {"header": header, "poses": [_pose(T) for T in poses]}),
        )
        if topology is not None and len(hand.vertices) == topology.vertices:
            yield names.topic(f"{hand.side}/mesh"), _mesh(hand, topology, header)
    for hand in gone if topology is not None else ():
        yield names.topic(f"{hand.side}/mesh"), _marker(hand, header, _DELETE, np.zeros((0, 3)))
    if transforms:
        yield "/tf", RosValue("tf2_msgs/msg/TFMessage", {"transforms": transforms})


def joint_poses(hand: Hand) -> Array:
    """Return T_camera_joint (21, 4, 4) with ROS's axes."""
    _, rotations = poses_26(hand)
    T = np.zeros((21, 4, 4))
    T[:, 3, 3] = 1
    T[:, :3, 3] = hand.joints
    T[:, :3, :3] = rotations[OURS_IN_26] @ _R_XR_ROS
    return T


def camera_info(frame: FrameMeta, header: RosValue) -> RosValue:
    """Return the camera of a frame: a pinhole without distortion, since pictures and hands are in one."""
    fx, fy, cx, cy = map(float, (frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy))
    whole = RosValue(
        "sensor_msgs/msg/RegionOfInterest",
        {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
    )
    return RosValue(
        "sensor_msgs/msg/CameraInfo",
        {
            "header": header, "height": frame.height, "width": frame.width, "distortion_model": "plumb_bob",
            "d": np.zeros(5), "k": np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1.0]), "r": np.eye(3).ravel(),
            "p": np.array([fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1.0, 0]), "binning_x": 0, "binning_y": 0, "roi": whole,
        },
    )  # fmt: skip


def joint_state(names: Sequence[str], positions: Array, velocities: Array, frame_id: str, stamp_ns: int) -> RosValue:
    """Return the joints of a robot, rad and rad/s."""
    return RosValue(
        "sensor_msgs/msg/JointState",
        {
            "header": _header(frame_id, stamp_ns), "name": list(names), "position": np.asarray(positions, np.float64),
            "velocity": np.asarray(velocities, np.float64), "effort": np.zeros(0),
        },
    )  # fmt: skip


def _one_a_side(hands: Sequence[Hand]) -> list[Hand]:
    """Return the hands that have a topic: of each side the best that is there."""
    best: dict[Side, Hand] = {}
    for hand in filter(has_bones, hands):
        before = best.get(hand.side)
        if before is None or (hand.seen, hand.quality or 0.0) > (before.seen, before.quality or 0.0):
            best[hand.side] = hand
    return list(best.values())


def _joint_transforms(side: Side, poses: Array, names: RosNames, header: RosValue, stamp_ns: int) -> Iterator[RosValue]:
    for joint, parent in enumerate(JOINT_PARENTS):
        child = names.joint_frame(side, joint)
        if parent < 0:
            yield _transform(header, child, poses[joint])
        else:
            own = _header(names.joint_frame(side, parent), stamp_ns)
            yield _transform(own, child, np.linalg.inv(poses[parent]) @ poses[joint])


def _mesh(hand: Hand, topology: HandTopology, header: RosValue) -> RosValue:
    faces = close_holes(topology.faces_of(hand.side))
    corners = hand.vertices.astype(np.float64)[faces.ravel()]
    return _marker(hand, header, _ADD, corners)


def _marker(hand: Hand, header: RosValue, action: int, corners: Array) -> RosValue:
    red, green, blue = (channel / 255 for channel in hand_colour(hand.side))
    nothing = RosValue("builtin_interfaces/msg/Duration", {"sec": 0, "nanosec": 0})
    return RosValue(
        "visualization_msgs/msg/Marker",
        {
            "header": header, "ns": f"hand_{hand.side}", "id": 0, "type": _TRIANGLE_LIST, "action": action,
            "pose": _pose(np.eye(4)), "scale": _vector("geometry_msgs/msg/Vector3", (1.0, 1.0, 1.0)),
            "color": _color(red, green, blue), "lifetime": nothing, "frame_locked": False, "points": RosPoints(corners),
            "colors": [], "texture_resource": "", "texture": _no_texture(), "uv_coordinates": [], "text": "",
            "mesh_resource": "", "mesh_file": RosValue(
                "visualization_msgs/msg/MeshFile", {"filename": "", "data": np.zeros(0, np.uint8)}
            ), "mesh_use_embedded_materials": False,
        },
    )  # fmt: skip


def _no_texture() -> RosValue:
    nowhere = _header("", 0)
    return RosValue("sensor_msgs/msg/CompressedImage", {"header": nowhere, "format": "", "data": np.zeros(0, np.uint8)})


def _color(red: float, green: float, blue: float) -> RosValue:
    return RosValue("std_msgs/msg/ColorRGBA", {"r": red, "g": green, "b": blue, "a": 1.0})


def _header(frame_id: str, stamp_ns: int) -> RosValue:
    stamp = RosValue("builtin_interfaces/msg/Time", {"sec": stamp_ns // 10**9, "nanosec": stamp_ns % 10**9})
    return RosValue("std_msgs/msg/Header", {"stamp": stamp, "frame_id": frame_id})


def _transform(header: RosValue, child: str, T: NDArray[np.float64]) -> RosValue:
    moved = RosValue(
        "geometry_msgs/msg/Transform",
        {"translation": _vector("geometry_msgs/msg/Vector3", T[:3, 3].tolist()), "rotation": _quaternion(T)},
    )
    return RosValue(
        "geometry_msgs/msg/TransformStamped", {"header": header, "child_frame_id": child, "transform": moved}
    )


def _pose(T: NDArray[np.float64]) -> RosValue:
    place = _vector("geometry_msgs/msg/Point", T[:3, 3].tolist())
    return RosValue("geometry_msgs/msg/Pose", {"position": place, "orientation": _quaternion(T)})


def _quaternion(T: NDArray[np.float64]) -> RosValue:
    x, y, z, w = to_quaternion(T[:3, :3]).tolist()
    return RosValue("geometry_msgs/msg/Quaternion", {"x": x, "y": y, "z": z, "w": w})


def _vector(kind: str, numbers: Sequence[float]) -> RosValue:
    x, y, z = numbers
    return RosValue(kind, {"x": x, "y": y, "z": z})
