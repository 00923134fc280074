"""Hands seen in a picture, before they are reconstructed."""

from dataclasses import dataclass, replace

import numpy as np

from hamba_core.arrays import Array, Float32Array
from hamba_core.errors import PacketError
from hamba_core.hand import Side
from stages.packets.checks import check_side, checked, shapes
from stages.packets.frames import Frame


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

    __repr__ = shapes

    def __post_init__(self) -> None:
        checked(self, "T_crop_picture", (2, 3), np.float64)
        checked(self, "landmarks", (21, 3), np.float32)
        checked(self, "world", (21, 3), np.float32)


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

    __repr__ = shapes

    def __post_init__(self) -> None:
        check_side(self, self.side)
        if not 0 <= self.score <= 1:
            raise PacketError(f"HandBox.score: expected 0..1, found {self.score}")
        checked(self, "box", (4,), np.float32)
        checked(self, "joints_2d", (21, 2), np.float32)
        checked(self, "joints_world", (21, 3), np.float32)
        if self.box[2] < self.box[0] or self.box[3] < self.box[1]:
            raise PacketError(f"HandBox.box: expected left <= right and top <= bottom, found {self.box.tolist()}")

    def of_side(self, side: Side) -> "HandBox":
        """Return the same hand as one of this side.

        A detector that takes a hand for one of the other side sees its depth inside out: a right hand and a left one
        give the same picture if one is the other mirrored in depth. So the depth is turned back.
        """
        if side == self.side:
            return self
        return replace(self, side=side, joints_world=self.joints_world * np.array([1, 1, -1], np.float32))


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """A frame and the hands seen in it: what detection gives, and tracking after it."""

    frame: Frame
    boxes: tuple[HandBox, ...]
    looked: bool = True  # false where the detector passed this frame over

    __repr__ = shapes
