"""Poses of a camera over time, in the format of the TUM RGB-D benchmark (Sturm et al., IROS 2012).

A line has a time in seconds, the camera's place in the world, and its rotation as a quaternion:
`time tx ty tz qx qy qz qw`. Lines that begin with # are remarks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import SourceError, error_reason
from hamba_core.hand import slerp
from hamba_core.untrusted import DocumentError, read_text
from stages.packets import FARTHEST

_UNIT: Final = 0.05
"""By which a quaternion's length may be off 1, as few digits leave it."""
LONGEST_STEP: Final = 0.5
"""s between two poses that are joined; in a longer gap the camera may have been anywhere."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Poses in order of time."""

    times: Array  # (N,) s, rising
    poses: Array  # (N, 4, 4) T_world_camera

    def at(self, time: float) -> tuple[Array, float] | None:
        """Return T_world_camera (4, 4) at a time, and how many seconds off the nearest pose is where none is joined.

        Between two poses the rotation goes the shortest way and the place a straight one. Before the first pose and
        after the last, and within a gap, it is the nearest pose's. None of an empty one.
        """
        if not len(self.times):
            return None
        after = int(np.searchsorted(self.times, time))
        if after < len(self.times) and self.times[after] == time:
            return self.poses[after], 0.0
        before = after - 1
        joined = 0 < after < len(self.times) and self.times[after] - self.times[before] <= LONGEST_STEP
        if not joined:
            ends = [i for i in (before, after) if 0 <= i < len(self.times)]
            nearest = min(ends, key=lambda i: abs(float(self.times[i]) - time))
            return self.poses[nearest], abs(float(self.times[nearest]) - time)
        share = (time - self.times[before]) / (self.times[after] - self.times[before])
        a, b = self.poses[before], self.poses[after]
        T = np.eye(4)
        T[:3, :3] = slerp(a[:3, :3], b[:3, :3], share)
        T[:3, 3] = (1 - share) * a[:3, 3] + share * b[:3, 3]
        return T, 0.0


def read_trajectory(path: Path) -> Trajectory:
    """Return what is in a file of TUM format. Raises SourceError."""
    try:
        text = read_text(path)
    except (OSError, DocumentError) as error:
        raise SourceError(f"{path}: expected a trajectory in TUM format, found: {error_reason(error)}") from error
    times, poses = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            time, pose = pose_of_line(line)
        except ValueError as error:
            raise SourceError(f"{path}, line {number}: {error}") from error
        times.append(time)
        poses.append(pose)
    if not times:
        raise SourceError(f"{path}: expected poses, lines of time tx ty tz qx qy qz qw, found none")
    order = np.argsort(times, kind="stable")
    rising = np.array(times)[order]
    if (np.diff(rising) <= 0).any():
        twice = rising[1:][np.diff(rising) <= 0][0]
        raise SourceError(f"{path}: expected one pose at each time, found several at {twice}")
    return Trajectory(rising, np.array(poses)[order])


def pose_of_line(line: str) -> tuple[float, Array]:
    """Return the time, s, and T_world_camera (4, 4) of a line. Raises ValueError."""
    words = line.replace(",", " ").split()
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        numbers = np.array([np.nan])
    if len(numbers) != 8 or not np.isfinite(numbers).all():
        raise ValueError(f"expected eight numbers, time tx ty tz qx qy qz qw, found {line.strip()[:80]!r}")
    if np.abs(numbers[1:4]).max() > FARTHEST:
        raise ValueError(f"expected a place within {FARTHEST:g} m, found {line.strip()[:80]!r}")
    quaternion = numbers[4:]
    length = float(np.linalg.norm(quaternion.clip(-2, 2)))  # of larger ones the squares might be too large
    if abs(length - 1) > _UNIT:
        raise ValueError(f"expected a quaternion of length 1, found one of {length:.3g}: {line.strip()[:80]!r}")
    T = np.eye(4)
    T[:3, :3] = rotation_of(quaternion / length)
    T[:3, 3] = numbers[1:4]
    return float(numbers[0]), T


def rotation_of(quaternion: Array) -> Array:
    """Return the rotation (3, 3) of a unit quaternion (4,): x, y, z, w."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
