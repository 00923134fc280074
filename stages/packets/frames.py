"""A picture, and what is known about it: when it was captured, with which lens, and where the camera stood."""

from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import AnyFloats, Array
from hamba_core.errors import PacketError
from hamba_core.text import readable
from hamba_core.view import Intrinsics
from stages.packets.checks import checked, shapes

Image = NDArray[np.uint8]

FARTHEST: Final = 1e9
"""m from the world's origin, beyond which no camera is."""
_RIGID: Final = 1e-3
"""By which a pose's rotation may be off, as single precision and files of few digits leave it."""


@dataclass(frozen=True, eq=False, repr=False)
class WorldPose:
    """Where the camera stands, in one frame, in the world that all cameras of a run share."""

    T_world_camera: Array  # (4, 4), takes points of the camera frame, m, to the world; rigid
    origin: str  # what tells it: "board", "tag", "file", "trajectory", "topic"
    seen: bool = True  # false where the camera moves and an earlier pose is kept, since none came for this frame
    age: float = 0.0  # s since it was measured; 0 of a camera that stands still
    error: float | None = None  # px, by which the board's corners are off, root of the mean square; none: unknown

    __repr__ = shapes

    def __post_init__(self) -> None:
        checked(self, "T_world_camera", (4, 4), np.float64)
        R = self.T_world_camera[:3, :3]
        last = np.abs(self.T_world_camera[3] - (0, 0, 0, 1)).max()
        bounded = np.abs(R).max() <= 1 + _RIGID and np.abs(self.T_world_camera[:3, 3]).max() <= FARTHEST
        if not bounded or np.abs(R @ R.T - np.eye(3)).max() > _RIGID or np.linalg.det(R) < 0 or last > _RIGID:
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

    __repr__ = shapes

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

    __repr__ = shapes

    def __post_init__(self) -> None:
        if not isinstance(self.image, np.ndarray) or self.image.dtype != np.uint8:
            found = getattr(self.image, "dtype", type(self.image).__name__)
            raise PacketError(f"Frame.image: expected uint8, found {found}")
        checked(self, "image", (self.meta.height, self.meta.width, 3), np.uint8)
