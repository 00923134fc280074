"""Reconstructed hands, and what they do: the results that viewers, recorders and programs get."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

import numpy as np

from hamba_core.arrays import Float32Array, Int32Array
from hamba_core.errors import PacketError
from hamba_core.hand import JOINT_NAMES, JOINT_PARENTS, MIRROR, HandModel, Side
from stages.packets.checks import check_side, checked, shapes
from stages.packets.frames import FrameMeta, Image, WorldPose

EventKind = Literal["pinch", "grab", "point", "open", "thumbs_up"]
EVENT_KINDS: Final[tuple[EventKind, ...]] = get_args(EventKind)
EventPhase = Literal["start", "hold", "end"]
EVENT_PHASES: Final[tuple[EventPhase, ...]] = get_args(EventPhase)


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

    __repr__ = shapes

    def __post_init__(self) -> None:
        check_side(self, self.side)
        if not 0 <= self.score <= 1:
            raise PacketError(f"Hand.score: expected 0..1, found {self.score}")
        wanted: dict[str, tuple[int | None, ...]] = {
            "box": (4,), "global_orient": (3, 3), "hand_pose": (15, 3, 3), "betas": (10,), "translation": (3,),
            "joints": (21, 3), "joints_2d": (21, 2), "vertices": (None, 3),
        }  # fmt: skip
        for name, shape in wanted.items():
            checked(self, name, shape, np.float32)
        if self.quality is not None and not 0 <= self.quality <= 1:
            raise PacketError(f"Hand.quality: expected 0..1, found {self.quality}")
        if self.translation_std is not None:
            checked(self, "translation_std", (3,), np.float32)
        if self.visibility is not None:
            checked(self, "visibility", (21,), np.float32)
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
        check_side(self, self.side)
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

    __repr__ = shapes


@dataclass(frozen=True, eq=False, repr=False)
class HandTopology:
    """What stays the same about a hand model's meshes."""

    name: str
    vertices: int  # V
    faces_right: Int32Array  # (F, 3), counter-clockwise seen from outside
    faces_left: Int32Array  # (F, 3)
    joint_names: tuple[str, ...] = JOINT_NAMES
    joint_parents: tuple[int, ...] = JOINT_PARENTS

    __repr__ = shapes

    def __post_init__(self) -> None:
        for name in ("faces_right", "faces_left"):
            checked(self, name, (None, 3), np.int32)
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
