"""How messages become the maps on the wire, and maps become messages."""

import math
from typing import Any

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from hamba_core.arrays import Float32Array
from hamba_core.errors import WireError
from hamba_core.hand import JOINT_NAMES
from hamba_core.view import Intrinsics
from stages import packets
from stages.common.plain import plain
from stages.packets import ClockAnchor, FrameMeta, FrameResult, HandEvent, HandTopology, WorldPose
from stages.wire import maps
from stages.wire.jpeg import check_jpeg
from stages.wire.maps import VERSION
from stages.wire.messages import HandsMessage, ImageMessage, Message, ModelMessage, StatusMessage, VertexForm

Map = maps.Hands | maps.Model | maps.Status | maps.Image

_HALF_LIMIT = 65504.0  # the largest number of half precision


def to_map(message: Message, vertices: VertexForm) -> Map:
    """Return the map of a message."""
    match message:
        case HandsMessage():
            return _hands_map(message, vertices)
        case ModelMessage():
            return _model_map(message)
        case StatusMessage():
            return _status_map(message)
        case ImageMessage():
            return _image_map(message)


def from_map(given: Map) -> Message:
    """Return the message of a map. Raises WireError; PacketError, ConfigurationError if a packet refuses its values."""
    match given:
        case maps.Hands():
            return _hands(given)
        case maps.Model():
            return _model(given)
        case maps.Status():
            return _status(given)
        case maps.Image():
            return _image(given)


def _clock_map(clock: ClockAnchor) -> maps.Clock:
    return msgspec.convert(clock, maps.Clock, from_attributes=True)


def _clock(clock: maps.Clock) -> ClockAnchor:
    return msgspec.convert(clock, ClockAnchor, from_attributes=True)


def _frame_map(frame: FrameMeta) -> maps.Frame:
    return maps.Frame(
        frame.index,
        float(frame.pts),
        frame.captured_ns,
        frame.width,
        frame.height,
        frame.name or UNSET,
        frame.captured_by or UNSET,
    )


def _camera_map(camera: Intrinsics) -> maps.Camera:
    fx, fy, cx, cy = map(float, (camera.fx, camera.fy, camera.cx, camera.cy))  # where someone wrote 320, say
    return maps.Camera(fx, fy, cx, cy, camera.estimated)


def _world_map(world: WorldPose | None) -> maps.World | UnsetType:
    if world is None:
        return UNSET
    error = None if world.error is None else float(world.error)
    matrix = maps.pack(world.T_world_camera, "<f8")
    return maps.World(T_world_camera=matrix, origin=world.origin, seen=world.seen, age=float(world.age), error=error)


def _world(world: maps.World | UnsetType) -> WorldPose | None:
    if world is UNSET:
        return None
    matrix = maps.unpack(world.T_world_camera, "world.T_world_camera", (4, 4), maps.FLOATS).astype(np.float64)
    # NaN, and what is larger than any number may be, is for the packet to refuse.
    return WorldPose(matrix, world.origin, world.seen, world.age, world.error)


def _frame(stream: str, frame: maps.Frame, camera: maps.Camera, world: maps.World | UnsetType) -> FrameMeta:
    intrinsics = Intrinsics(camera.fx, camera.fy, camera.cx, camera.cy, camera.estimated)
    name = "" if frame.name is UNSET else frame.name
    captured_by = "" if frame.captured_by is UNSET else frame.captured_by
    size, place = (frame.width, frame.height), _world(world)
    return FrameMeta(stream, frame.index, frame.pts, frame.captured_ns, *size, intrinsics, name, place, captured_by)


def _event_map(event: HandEvent) -> maps.Event:
    return maps.Event(
        id=event.track_id,
        side=event.side,
        kind=event.kind,
        phase=event.phase,
        confidence=float(event.confidence),
        held=float(event.held),
    )


def _event(event: maps.Event) -> HandEvent:
    return HandEvent(event.id, event.side, event.kind, event.phase, event.confidence, event.held)


def _hands_map(message: HandsMessage, vertices: VertexForm) -> maps.Hands:
    result = message.result
    return maps.Hands(
        v=VERSION,
        stream=result.frame.stream,
        seq=message.seq,
        frame=_frame_map(result.frame),
        published_ns=message.published_ns,
        clock=_clock_map(message.clock),
        camera=_camera_map(result.frame.camera),
        hands=[_hand_map(hand, vertices) for hand in result.hands],
        stage_ns=dict(result.stage_ns),
        world=_world_map(result.frame.world),
        events=[_event_map(event) for event in result.events],
    )


def _hand_map(hand: packets.Hand, form: VertexForm) -> maps.Hand:
    vertices: maps.Array | UnsetType = UNSET
    if form == "float32":
        vertices = maps.pack(hand.vertices)
    elif form == "float16":
        vertices = maps.pack(hand.vertices.clip(-_HALF_LIMIT, _HALF_LIMIT), "<f2")
    return maps.Hand(
        id=hand.track_id,
        side=hand.side,
        score=float(hand.score),
        box=maps.pack(hand.box),
        translation=maps.pack(hand.translation),
        global_orient=maps.pack(hand.global_orient),
        hand_pose=maps.pack(hand.hand_pose),
        betas=maps.pack(hand.betas),
        joints=maps.pack(hand.joints),
        joints_2d=maps.pack(hand.joints_2d),
        vertices=vertices,
        seen=hand.seen,
        quality=None if hand.quality is None else float(hand.quality),
        translation_std=_packed(hand.translation_std),
        visibility=_packed(hand.visibility),
    )


def _packed(array: Float32Array | None) -> maps.Array | UnsetType:
    return UNSET if array is None else maps.pack(array)


def _hands(given: maps.Hands) -> HandsMessage:
    frame = _frame(given.stream, given.frame, given.camera, given.world)
    hands = tuple(_hand(hand, f"hands[{i}].") for i, hand in enumerate(given.hands))
    result = FrameResult(frame, hands, given.stage_ns, events=tuple(map(_event, given.events)))
    return HandsMessage(given.seq, result, given.published_ns, _clock(given.clock))


def _hand(hand: maps.Hand, at: str) -> packets.Hand:
    no_vertices = np.zeros((0, 3), np.float32)
    return packets.Hand(
        track_id=hand.id,
        side=hand.side,
        score=hand.score,
        box=maps.unpack_floats(hand.box, at + "box", 4),
        global_orient=maps.unpack_floats(hand.global_orient, at + "global_orient", 3, 3),
        hand_pose=maps.unpack_floats(hand.hand_pose, at + "hand_pose", 15, 3, 3),
        betas=maps.unpack_floats(hand.betas, at + "betas", 10),
        translation=maps.unpack_floats(hand.translation, at + "translation", 3),
        joints=maps.unpack_floats(hand.joints, at + "joints", 21, 3),
        joints_2d=maps.unpack_floats(hand.joints_2d, at + "joints_2d", 21, 2),
        vertices=no_vertices if hand.vertices is UNSET else maps.unpack_floats(hand.vertices, at + "vertices", None, 3),
        seen=hand.seen,
        quality=hand.quality,
        translation_std=_unpacked(hand.translation_std, at + "translation_std", 3),
        visibility=_unpacked(hand.visibility, at + "visibility", 21),
    )


def _unpacked(array: maps.Array | UnsetType, name: str, *shape: int) -> Float32Array | None:
    return None if array is UNSET else maps.unpack_floats(array, name, *shape)


def _model_map(message: ModelMessage) -> maps.Model:
    topology = message.topology
    dtype = "<u2" if topology.vertices <= 2**16 else "<u4"
    return maps.Model(
        v=VERSION,
        stream=message.stream,
        published_ns=message.published_ns,
        clock=_clock_map(message.clock),
        name=topology.name,
        vertices=topology.vertices,
        faces_right=maps.pack(topology.faces_right, dtype),
        faces_left=maps.pack(topology.faces_left, dtype),
        joint_names=list(topology.joint_names),
        joint_parents=list(topology.joint_parents),
        estimator=message.estimator,
        versions=dict(message.versions),
    )


def _model(given: maps.Model) -> ModelMessage:
    joints = len(JOINT_NAMES)
    if not len(given.joint_names) == len(given.joint_parents) == joints:
        found = f"{len(given.joint_names)} and {len(given.joint_parents)}"
        raise WireError(f"joint_names and joint_parents: expected {joints} each, found {found}")
    if not all(-1 <= parent < joints for parent in given.joint_parents):
        raise WireError(f"joint_parents: expected -1..{joints - 1}, found {given.joint_parents}")
    topology = HandTopology(
        name=given.name,
        vertices=given.vertices,
        faces_right=maps.unpack(given.faces_right, "faces_right", (None, 3), maps.INTEGERS).astype(np.int32),
        faces_left=maps.unpack(given.faces_left, "faces_left", (None, 3), maps.INTEGERS).astype(np.int32),
        joint_names=tuple(given.joint_names),
        joint_parents=tuple(given.joint_parents),
    )
    clock = _clock(given.clock)
    return ModelMessage(given.stream, topology, given.estimator, given.versions, given.published_ns, clock)


def _status_map(message: StatusMessage) -> maps.Status:
    clock, tree = plain(message.clock), plain(message.status)
    head = {"v": VERSION, "published_ns": message.published_ns, "clock": clock}
    if tree["source"] is None:
        del tree["source"]
    return msgspec.convert({**tree, **head}, maps.Status)


def _status(given: maps.Status) -> StatusMessage:
    status = msgspec.convert(_with_nan(msgspec.to_builtins(given)), packets.Status)
    return StatusMessage(status, given.published_ns, _clock(given.clock))


def _with_nan(tree: Any) -> Any:
    """Return the tree with NaN for nil, which means that nothing was measured. Raises WireError if a number is none."""
    match tree:
        case None:
            return math.nan
        case float() if not math.isfinite(tree):
            raise WireError(f"expected finite numbers or nil, found {tree}")
        case dict():
            return {key: _with_nan(value) for key, value in tree.items()}
        case list():
            return [_with_nan(value) for value in tree]
    return tree


def _image_map(message: ImageMessage) -> maps.Image:
    return maps.Image(
        v=VERSION,
        stream=message.frame.stream,
        published_ns=message.published_ns,
        clock=_clock_map(message.clock),
        frame=_frame_map(message.frame),
        camera=_camera_map(message.frame.camera),
        jpeg=message.jpeg,
        world=_world_map(message.frame.world),
    )


def _image(given: maps.Image) -> ImageMessage:
    check_jpeg(given.jpeg)
    frame = _frame(given.stream, given.frame, given.camera, given.world)
    return ImageMessage(frame, given.jpeg, given.published_ns, _clock(given.clock))
