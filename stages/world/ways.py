"""The ways in which it is known where the camera stands, each asked once a frame."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import nearest_rotation
from hamba_core.text import counted
from stages.packets import Choice, Frame, WorldPose
from stages.world.trajectory import Trajectory

Look = Callable[[Frame, Array | None], tuple[Array, float] | None]
"""Says T_world_camera (4, 4) and the error, px, by a frame and the last pose; none where the board is not seen."""

_SIGHTINGS: Final = 15
"""From which the place of a camera that stands still is averaged."""
_CHECK: Final = 1.0  # s, between looks whether it still stands there
_MOVED: Final = (0.01, 0.02)
"""m and rad, from which on it has moved."""
_MOVED_TIMES: Final = 3  # looks on end
_FRESH: Final = 0.04  # s, by which a pose may be off a frame and still count as the frame's own


class Way(ABC):
    """It knows where the camera stands."""

    def open(self) -> None:  # noqa: B027 - most have nothing to open
        """Get ready."""

    @abstractmethod
    def pose(self, frame: Frame) -> WorldPose | None:
        """Return where the camera stands in this frame; none where it is not known."""

    def choices(self) -> tuple[Choice, ...]:
        """Return what is in use, and what went wrong."""
        return ()

    def close(self) -> None:  # noqa: B027
        """Free everything."""


class Standing(Way):
    """The camera stands where a file says."""

    def __init__(self, T_world_camera: Array, name: str) -> None:
        self._pose, self._name = WorldPose(T_world_camera, "file"), name

    def pose(self, frame: Frame) -> WorldPose | None:
        return self._pose

    def choices(self) -> tuple[Choice, ...]:
        return (Choice("world", "a camera that stands still", f"source.world.pose: {self._name}"),)


class Along(Way):
    """The camera moves along a trajectory that is known from the start."""

    def __init__(self, trajectory: Trajectory, start: float | None, max_age: float, name: str) -> None:
        self._trajectory, self._max_age, self._name = trajectory, max_age, name
        self._start = float(trajectory.times[0]) if start is None else start
        self._lost = 0

    def pose(self, frame: Frame) -> WorldPose | None:
        found = known_pose(self._trajectory, self._start + frame.meta.pts, self._max_age, "trajectory")
        self._lost += found is None
        return found

    def choices(self) -> tuple[Choice, ...]:
        known = Choice("world", "a camera that moves", f"source.world.trajectory: {self._name}")
        return (known, *lost_choice(self._lost, "the trajectory has no pose near their time"))


class Seen(Way):
    """The camera sees a board or a tag: a camera that moves in every frame, one that stands still at the start."""

    def __init__(self, look: Look, origin: str, *, moves: bool, max_age: float) -> None:
        self._look, self._origin, self._moves, self._max_age = look, origin, moves, max_age
        self._last: Array | None = None
        self._last_pts = self._checked_pts = -np.inf
        self._sightings: list[Array] = []
        self._errors: list[float] = []
        self._seen = self._lost = self._moved_times = 0
        self._moved = False
        self._guessed_lens = False

    def pose(self, frame: Frame) -> WorldPose | None:
        self._guessed_lens = frame.meta.camera.estimated
        found = self._always(frame) if self._moves else self._from_first_sightings(frame)
        self._lost += found is None
        return found

    def _always(self, frame: Frame) -> WorldPose | None:
        pts = frame.meta.pts
        age = pts - self._last_pts
        found = self._look(frame, self._last if 0 <= age <= self._max_age else None)
        if found is not None:
            self._note(*found, pts)
            return WorldPose(found[0], self._origin, error=found[1])
        if self._last is not None and 0 <= age <= self._max_age:
            return WorldPose(self._last, self._origin, seen=False, age=age)
        return None

    def _from_first_sightings(self, frame: Frame) -> WorldPose | None:
        pts = frame.meta.pts
        if len(self._sightings) < _SIGHTINGS:
            found = self._look(frame, self._last)
            if found is not None:
                self._sightings.append(found[0])
                self._note(mean_pose(self._sightings), found[1], pts)
        elif not 0 <= pts - self._checked_pts < _CHECK:
            self._check(frame)
        if self._last is None:
            return None
        return WorldPose(self._last, self._origin, error=float(np.mean(self._errors)))

    def _check(self, frame: Frame) -> None:
        """Look whether the camera still stands where it stood."""
        from stages.world.anchor import apart

        self._checked_pts = frame.meta.pts
        found = self._look(frame, None)
        if found is None or self._last is None:
            return
        metres, radians = apart(found[0], self._last)
        self._moved_times = self._moved_times + 1 if metres > _MOVED[0] or radians > _MOVED[1] else 0
        self._moved = self._moved or self._moved_times >= _MOVED_TIMES

    def _note(self, T_world_camera: Array, error: float, pts: float) -> None:
        self._last, self._last_pts = T_world_camera, pts
        self._seen += 1
        if len(self._errors) < 1000:
            self._errors.append(error)

    def choices(self) -> tuple[Choice, ...]:
        kind = "a camera that moves" if self._moves else "a camera that stands still"
        error = f", off by {np.mean(self._errors):.2f} px" if self._errors else ""
        told = [Choice("world", kind, f"the {self._origin} was seen in {counted(self._seen, 'frame')}{error}")]
        if self._moved:
            reason = f"camera or {self._origin} have moved since: start anew, or say source.world.watch=always"
            told.append(Choice("world drift", "the camera's first place", reason, fallback=True))
        if self._seen and self._guessed_lens:
            reason = "the camera's place is as far off as the lens is: hamba calibrate measures it"
            told.append(Choice("world scale", "a guessed lens", reason, fallback=True))
        return (*told, *lost_choice(self._lost, f"the {self._origin} is not seen, or too small or blurred"))


def lost_choice(lost: int, reason: str) -> tuple[Choice, ...]:
    """Return that the camera's place is not known of some frames; the words do not change while it goes on."""
    if not lost:
        return ()
    return (
        Choice("world lost", "the camera frame alone, where the camera's place is not known", reason, fallback=True),
    )


def known_pose(trajectory: Trajectory, time: float, max_age: float, origin: str) -> WorldPose | None:
    """Return the pose of a trajectory at a time; none where no pose is within `max_age`, s."""
    found = trajectory.at(time)
    if found is None or found[1] > max(max_age, _FRESH):
        return None
    T, off = found
    return WorldPose(T, origin, seen=off <= _FRESH, age=off)


def mean_pose(poses: list[Array]) -> Array:
    """Return the mean of poses (4, 4) that are near each other."""
    T = np.mean(poses, axis=0)
    T[:3, :3] = nearest_rotation(T[:3, :3])
    return np.asarray(T)
