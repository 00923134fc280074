"""What flows between stages: frozen dataclasses that check themselves when they are made.

Units are metres, seconds, radians and pixels; the camera frame is OpenCV's (x right, y down, z forward); joint order is
`hamba_core.hand.skeleton.JOINT_NAMES`; a box is (left, top, right, bottom). `repr` prints shapes, never data.
Arrays are read-only once they are in a packet: stages share them without copying.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hamba_core.arrays import AnyFloats, Array, Float32Array, Int32Array
from hamba_core.errors import PacketError
from hamba_core.hand import JOINT_NAMES, JOINT_PARENTS, MIRROR, SIDES, HandModel, Side
from hamba_core.text import address_of, readable
from hamba_core.view import Intrinsics

Image = NDArray[np.uint8]

EventKind = Literal["pinch", "grab", "point", "open", "thumbs_up"]
EVENT_KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
EventPhase = Literal["start", "hold", "end"]
EVENT_PHASES: Final[tuple[EventPhase, ...]] = get_args(EventPhase)

_RIGID: Final = 1e-3
"""By which a pose's rotation may be off, as single precision and files of few digits leave it."""


def _checked(owner: object, name: str, shape: tuple[int | None, ...], dtype: DTypeLike, *, finite: bool = True) -> None:
    """Give a field its dtype, check its shape (None is any length) and make it read-only."""
    given = getattr(owner, name)
    try:
        array = np.asarray(given, dtype)
    except (TypeError, ValueError) as error:
        raise PacketError(f"{type(owner).__name__}.{name}: expected numbers, found {type(given).__name__}") from error
    if array.ndim != len(shape) or any(want not in (None, got) for want, got in zip(shape, array.shape, strict=True)):
        want_text = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise PacketError(f"{type(owner).__name__}.{name}: expected shape {want_text}, found {array.shape}")
    if finite and array.dtype.kind == "f" and not np.isfinite(array).all():
        raise PacketError(f"{type(owner).__name__}.{name}: expected finite numbers, found NaN or infinity")
    if array.flags.writeable:
        # A view, so that the caller's own array stays as it was.
        array = array.view()
        array.setflags(write=False)
    object.__setattr__(owner, name, array)


def _check_side(owner: object, side: str) -> None:
    if side not in SIDES:
        raise PacketError(f"{type(owner).__name__}.side: expected 'left' or 'right', found {side!r}")


def _shapes(packet: Any) -> str:
    """Return `repr` of a packet with shapes in the place of arrays."""
    parts = []
    for f in fields(packet):
        value = getattr(packet, f.name)
        parts.append(f"{f.name}={value.dtype}{value.shape}" if isinstance(value, np.ndarray) else f"{f.name}={value!r}")
    return f"{type(packet).__name__}({', '.join(parts)})"


@dataclass(frozen=True, eq=False, repr=False)
class WorldPose:
    """Where the camera stands, in one frame, in the world that all cameras of a run share."""

    T_world_camera: Array  # (4, 4), takes points of the camera frame, m, to the world; rigid
    origin: str  # what tells it: "board", "tag", "file", "trajectory", "topic"
    seen: bool = True  # false where the camera moves and an earlier pose is kept, since none came for this frame
    age: float = 0.0  # s since it was measured; 0 of a camera that stands still
    error: float | None = None  # px, by which the board's corners are off, root of the mean square; none: unknown

    __repr__ = _shapes

    def __post_init__(self) -> None:
        _checked(self, "T_world_camera", (4, 4), np.float64)
        R = self.T_world_camera[:3, :3]
        last = np.abs(self.T_world_camera[3] - (0, 0, 0, 1)).max()
        if np.abs(R @ R.T - np.eye(3)).max() > _RIGID or np.linalg.det(R) < 0 or last > _RIGID:
            raise PacketError(
                "WorldPose.T_world_camera: expected a rotation and a translation above (0, 0, 0, 1), found another "
                "matrix"
            )

    def points(self, points: AnyFloats) -> Array:
        """Return points (..., 3) m of the camera frame in the world."""
        T = self.T_world_camera
        return np.asarray(points @ T[:3, :3].T + T[:3, 3], np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class FrameMeta:
    """Everything about a frame but its picture."""

    stream: str
    index: int  # counts the frames the source gave, from 0
    pts: float  # seconds from the start of the source
    captured_ns: int  # time.monotonic_ns() when the frame was captured, or read from a file
    width: int  # px
    height: int  # px
    camera: Intrinsics
    name: str = ""  # of the picture's file; empty for a frame of a video or a camera
    world: WorldPose | None = None  # where the camera stands; none: nobody knows
    captured_by: str = ""  # how captured_ns is known, live: "driver", "sender reports", "stream clock", "arrival"

    __repr__ = _shapes

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", readable(self.name))
        if self.index < 0 or self.width < 1 or self.height < 1 or not isfinite(self.pts):
            raise PacketError(
                "FrameMeta: expected index >= 0, width and height >= 1 and a finite pts, "
                f"found index {self.index}, {self.width}x{self.height}, pts {self.pts}"
            )


@dataclass(frozen=True, eq=False, repr=False)
class Frame:
    """A picture and what is known about it."""

    meta: FrameMeta
    image: Image  # (height, width, 3) RGB

    __repr__ = _shapes

    def __post_init__(self) -> None:
        if not isinstance(self.image, np.ndarray) or self.image.dtype != np.uint8:
            found = getattr(self.image, "dtype", type(self.image).__name__)
            raise PacketError(f"Frame.image: expected uint8, found {found}")
        _checked(self, "image", (self.meta.height, self.meta.width, 3), np.uint8)


@dataclass(frozen=True, eq=False, repr=False)
class HandLook:
    """What the hand-landmark network said of its crop of a hand, for estimators that build on it.

    In a mirrored crop a left hand is a right one, and everything here is as it is in the crop.
    """

    T_crop_picture: Array  # (2, 3), takes px of the picture to px of the crop
    mirrored: bool
    landmarks: Float32Array  # (21, 3) px of the crop
    world: Float32Array  # (21, 3) m, the crop's axes
    presence: float  # 0..1: how likely there is a hand
    right: float  # 0..1: how likely it is a right hand, as it is in the crop
    maps: tuple[Float32Array, ...] = ()  # (40, 28, 28), (112, 14, 14), (192, 7, 7), (1152,) where they were asked for

    __repr__ = _shapes

    def __post_init__(self) -> None:
        _checked(self, "T_crop_picture", (2, 3), np.float64)
        _checked(self, "landmarks", (21, 3), np.float32)
        _checked(self, "world", (21, 3), np.float32)


@dataclass(frozen=True, eq=False, repr=False)
class HandBox:
    """A hand seen in a picture, before it is reconstructed."""

    side: Side
    score: float  # 0..1
    box: Float32Array  # (4,) px: left, top, right, bottom; may reach outside the picture
    joints_2d: Float32Array  # (21, 2) px
    joints_world: Float32Array  # (21, 3) m, camera-aligned axes, origin at the hand's own centre
    track_id: int | None = None  # none until tracking gave one
    seen: bool = True  # false where tracking expects the hand and the detector did not see it in this frame
    look: HandLook | None = None  # of a hand that was seen, from a detector that tells
    missed: bool = False  # true where besides it looked: since it was seen last, it looked and did not see it

    __repr__ = _shapes

    def __post_init__(self) -> None:
        _check_side(self, self.side)
        if not 0 <= self.score <= 1:
            raise PacketError(f"HandBox.score: expected 0..1, found {self.score}")
        _checked(self, "box", (4,), np.float32)
        _checked(self, "joints_2d", (21, 2), np.float32)
        _checked(self, "joints_world", (21, 3), np.float32)
        if self.box[2] < self.box[0] or self.box[3] < self.box[1]:
            raise PacketError(f"HandBox.box: expected left <= right and top <= bottom, found {self.box.tolist()}")


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """A frame and the hands seen in it: what detection gives, and tracking after it."""

    frame: Frame
    boxes: tuple[HandBox, ...]
    looked: bool = True  # false where the detector passed this frame over

    __repr__ = _shapes


@dataclass(frozen=True, eq=False, repr=False)
class Hand:
    """A reconstructed hand.

    `global_orient`, `hand_pose` and `betas` are MANO's; those of a left hand are those of the mirrored right hand
    (`docs/conventions.md`). Everything else is the real hand in the camera frame, whichever its side.
    """

    track_id: int
    side: Side
    score: float  # 0..1: how certain the detector is of the side; it falls while the hand is not seen
    box: Float32Array  # (4,) px
    global_orient: Float32Array  # (3, 3)
    hand_pose: Float32Array  # (15, 3, 3), model order
    betas: Float32Array  # (10,)
    translation: Float32Array  # (3,) m
    joints: Float32Array  # (21, 3) m
    joints_2d: Float32Array  # (21, 2) px, the projection of joints
    vertices: Float32Array  # (V, 3) m; V = 0 where a publisher left them out
    seen: bool = True  # false where it is extrapolated: the detector looked for it since it saw it last, in vain
    quality: float | None = None  # 0..1: how well it agrees with what was seen of it, see `quality_of`; none: unknown
    translation_std: Float32Array | None = None  # (3,) m: standard deviation of `translation`; none: unknown
    visibility: Float32Array | None = None  # (21,) 0..1: how likely each joint is in sight; none: unknown

    __repr__ = _shapes

    def __post_init__(self) -> None:
        _check_side(self, self.side)
        if not 0 <= self.score <= 1:
            raise PacketError(f"Hand.score: expected 0..1, found {self.score}")
        shapes: dict[str, tuple[int | None, ...]] = {
            "box": (4,), "global_orient": (3, 3), "hand_pose": (15, 3, 3), "betas": (10,), "translation": (3,),
            "joints": (21, 3), "joints_2d": (21, 2), "vertices": (None, 3),
        }  # fmt: skip
        for name, shape in shapes.items():
            _checked(self, name, shape, np.float32)
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise PacketError(f"Hand.quality: expected 0..1, found {self.quality}")
        if self.translation_std is not None:
            _checked(self, "translation_std", (3,), np.float32)
        if self.visibility is not None:
            _checked(self, "visibility", (21,), np.float32)
            if self.visibility.min() < 0 or self.visibility.max() > 1:
                raise PacketError("Hand.visibility: expected 0..1, found others")

    def in_world(self, world: WorldPose) -> "Hand":
        """Return the same hand with its points and rotations in the world; pixels stay the picture's.

        `translation_std` is then along the world's axes.
        """
        R = world.T_world_camera[:3, :3]
        joints = world.points(self.joints)
        # A left hand's rotations are those of the mirrored right hand.
        turn = MIRROR @ R @ MIRROR if self.side == "left" else R
        std = None if self.translation_std is None else np.sqrt(R**2 @ self.translation_std.astype(np.float64) ** 2)
        return replace(
            self,
            global_orient=(turn @ self.global_orient).astype(np.float32),
            # The rest hand's wrist is not its origin: only the wrist itself moves as a point does.
            translation=(joints[0] + self.translation - self.joints[0]).astype(np.float32),
            joints=joints.astype(np.float32),
            vertices=world.points(self.vertices).astype(np.float32),
            translation_std=None if std is None else std.astype(np.float32),
        )


@dataclass(frozen=True)
class HandEvent:
    """Something that a hand begins, goes on or ceases to do, in one frame."""

    track_id: int
    side: Side
    kind: EventKind
    phase: EventPhase
    confidence: float  # 0..1
    held: float  # s since its start, 0 at the start

    def __post_init__(self) -> None:
        _check_side(self, self.side)
        if self.kind not in EVENT_KINDS or self.phase not in EVENT_PHASES:
            raise PacketError(
                f"HandEvent: expected one of {', '.join(EVENT_KINDS)} in one of the phases {', '.join(EVENT_PHASES)}, "
                f"found {self.kind!r} in {self.phase!r}"
            )
        if not 0 <= self.confidence <= 1 or not self.held >= 0:
            raise PacketError(
                "HandEvent: expected a confidence of 0..1 held for 0 s or more, "
                f"found {self.confidence} for {self.held} s"
            )


@dataclass(frozen=True, eq=False, repr=False)
class FrameResult:
    """All hands of one frame, possibly none: a frame without hands is still a result."""

    frame: FrameMeta
    hands: tuple[Hand, ...]
    stage_ns: Mapping[str, int] = field(default_factory=dict)  # time each stage took
    image: Image | None = None  # (height, width, 3) RGB inside a pipeline; none once it came over the wire
    events: tuple[HandEvent, ...] = ()  # what hands begin, go on or cease to do; also of a hand that has just gone

    __repr__ = _shapes


@dataclass(frozen=True, eq=False, repr=False)
class HandTopology:
    """What stays the same about a hand model's meshes."""

    name: str
    vertices: int  # V
    faces_right: Int32Array  # (F, 3), counter-clockwise seen from outside
    faces_left: Int32Array  # (F, 3)
    joint_names: tuple[str, ...] = JOINT_NAMES
    joint_parents: tuple[int, ...] = JOINT_PARENTS

    __repr__ = _shapes

    def __post_init__(self) -> None:
        for name in ("faces_right", "faces_left"):
            _checked(self, name, (None, 3), np.int32)
            faces = getattr(self, name)
            if faces.size and (faces.min() < 0 or faces.max() >= self.vertices):
                raise PacketError(f"HandTopology.{name}: expected vertices 0..{self.vertices - 1}, found others")

    @classmethod
    def of(cls, model: HandModel) -> "HandTopology":
        """Return the topology of this hand model's meshes."""
        right, left = (model.faces_of(side).astype(np.int32) for side in ("right", "left"))
        return cls(model.name, len(model.v_template), right, left)

    def faces_of(self, side: Side) -> Int32Array:
        """Return faces (F, 3) of a hand of this side."""
        return self.faces_right if side == "right" else self.faces_left


@dataclass(frozen=True)
class ClockAnchor:
    """One moment on both clocks, read together once, so that monotonic stamps can be dated."""

    monotonic_ns: int
    unix_ns: int


@dataclass(frozen=True)
class Choice:
    """What a stage uses where there was something to choose: device, precision, decoder, estimator..."""

    subject: str
    chosen: str
    reason: str
    fallback: bool = False  # true where it is not what was wished for


@dataclass(frozen=True)
class SourceInfo:
    """What is known about a source once it is open."""

    name: str  # as the user wrote it; a file: address where that is not UTF-8
    kind: str  # "file", "image", "images", "camera", "network", "synthetic"
    live: bool  # frames come at their own time, whether or not they are read
    width: int  # px, of the first frame
    height: int  # px
    fps: float | None  # nominal; none where unknown
    frames: int | None  # expected number, to show progress; none where unknown
    camera: Intrinsics
    stills: bool = False  # pictures that have nothing to do with one another: their pts are no times

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", address_of(self.name))


@dataclass(frozen=True)
class RunInfo:
    """What every sink is told before the first frame."""

    stream: str
    source: SourceInfo
    topology: HandTopology
    estimator: str
    clock: ClockAnchor
    versions: Mapping[str, str]
    settings: Mapping[str, Any]  # as written in YAML, for the record


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds; NaN where nothing was measured."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class StageStatus:
    """Counts of one stage or sink. received = emitted + the sum of dropped + in_flight."""

    name: str
    received: int
    emitted: int
    dropped: Mapping[str, int]  # by cause
    in_flight: int
    time: Percentiles  # ms a frame in the stage itself, over the same time as Status.rate
    queue_depth: int  # packets waiting before it now
    queue_peak: int
    queue_capacity: int


@dataclass(frozen=True)
class TrackCounts:
    """Whether hands stayed the same hands over a run."""

    births: int = 0  # tracks that began
    deaths: int = 0  # of those, the ones that are not there at the end
    gaps: int = 0  # times that a track was away and came back
    gap_seconds: float = 0.0  # s, in all gaps together
    side_flips: int = 0  # times that a track changed sides

    def __str__(self) -> str:
        """Return a text as in `births 3, deaths 1, gaps 2 (0.4 s), side flips 0`."""
        return (
            f"births {self.births}, deaths {self.deaths}, gaps {self.gaps} ({self.gap_seconds:.1f} s), "
            f"side flips {self.side_flips}"
        )


SourceState = Literal["connecting", "live", "stalled", "frozen", "black", "lost", "ended"]
"""What a live source is in: no picture yet; as it should be; no pictures for a second; the same one again and again;
nothing but black; dropped, and being opened again; over."""


@dataclass(frozen=True)
class SourceStatus:
    """How a live source is."""

    state: str  # a SourceState; later publishers may know others
    seconds: float  # s in this state
    reason: str  # why there are no pictures; empty where there are
    age: float  # s since the capture of the newest picture that it gave; NaN before the first
    captured_by: str  # how the times of capture are known, as `FrameMeta.captured_by`; empty before the first picture
    counts: Mapping[str, int]  # what happened so far, as {"reconnections": 2, "stalls": 1}


@dataclass(frozen=True)
class Status:
    """The state of a run: once a second while it goes, and as its report at the end."""

    stream: str
    state: str  # "running", "ended", "stopped", "failed"
    reason: str  # why it ended; empty while running
    elapsed: float  # s since everything was open and frames began to flow
    frames: int  # results that left the last stage
    hands: int  # hands in the newest result
    rate: float  # results a second, over the last seconds while running, over the whole run at the end
    latency: Percentiles  # ms from capture to the end of the last stage, over the same time as the rate
    stages: tuple[StageStatus, ...]  # source, stages, sinks, in order
    choices: tuple[Choice, ...]
    errors: Mapping[str, int]  # failed frames by kind of error, "stage: Error"
    frames_with_hands: int = 0  # results that had any; not on the wire
    tracks: TrackCounts | None = None  # not on the wire
    source: SourceStatus | None = None  # none where the source is not live
    doing: tuple[str, ...] = ()  # what hands do in the newest result, as in "left pinch"; not on the wire
