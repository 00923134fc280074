"""A source whose frames say where their camera stands."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from hamba_core.errors import ConfigurationError
from stages.contract import Source
from stages.packets import Choice, Frame, SourceInfo
from stages.world.settings import WorldSettings

if TYPE_CHECKING:
    from hamba_core.arrays import Array
    from stages.calibration import Board
    from stages.world.ways import Way


class WorldSource(Source):
    """It gives a source's frames, each with the place of its camera, in the way that the settings ask for.

    Pictures that have nothing to do with one another have a board each: what was seen before does not count.
    """

    def __init__(self, source: Source, settings: WorldSettings, stream: str) -> None:
        self.name, self.live, self.stills = source.name, source.live, source.stills
        self._source, self._settings, self._stream = source, settings, stream
        self._way: Way | None = None

    def open(self) -> SourceInfo:
        """Open the source and read what is to be read. Raises SourceError, ConfigurationError."""
        self._way = way_of(self._settings, self._stream, stills=self.stills)
        self._way.open()
        return self._source.open()

    def frames(self) -> Iterator[Frame | None]:
        """Yield the source's frames."""
        for frame in self._source.frames():
            if frame is None or self._way is None:
                yield frame
            else:
                yield Frame(replace(frame.meta, world=self._way.pose(frame)), frame.image)

    def interrupt(self) -> None:
        """Interrupt the source itself."""
        self._source.interrupt()

    def close(self) -> None:
        """Close the source, and what poses come from."""
        if self._way is not None:
            self._way.close()
        self._source.close()

    def choices(self) -> tuple[Choice, ...]:
        """Return the source's choices, and how the camera's place is known."""
        return (*self._source.choices(), *(self._way.choices() if self._way is not None else ()))


def way_of(settings: WorldSettings, stream: str, *, stills: bool = False) -> "Way":
    """Return the way that settings ask for. Raises SourceError, ConfigurationError."""
    from stages.world import ways

    if settings.pose is not None:
        from stages.world.pose_file import read_pose

        return ways.Standing(read_pose(settings.pose, stream), str(settings.pose))
    if settings.trajectory is not None:
        from stages.world.trajectory import read_trajectory

        trajectory = read_trajectory(settings.trajectory)
        return ways.Along(trajectory, settings.start, settings.max_age, str(settings.trajectory))
    if settings.topic is not None:
        from stages.world.topic import Told

        return Told(settings.topic, settings.max_age)
    if settings.charuco is None and settings.tag is None:
        raise ConfigurationError("source.world: expected a way to know the camera's place, found none")
    board = _board(settings)

    def look(frame: Frame, last: "Array | None") -> "tuple[Array, float] | None":
        from stages.world.anchor import sight

        return sight(board, frame.image, frame.meta.camera, last)

    origin = "board" if settings.charuco is not None else "tag"
    max_age = -1.0 if stills else settings.max_age
    return ways.Seen(look, origin, moves=settings.watch == "always" or stills, max_age=max_age)


def _board(settings: WorldSettings) -> "Board":
    """Return the board or tag that is looked for. Raises ConfigurationError."""
    from stages.calibration import charuco, tag

    if settings.tag is not None:
        return tag(settings.tag, settings.tag_size, settings.dictionary or "APRILTAG_36H11")
    return charuco(*settings.board, settings.square, settings.marker, settings.dictionary or "4X4_50")
