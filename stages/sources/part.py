"""A part of a file can stand for the whole: from one time to another, in seconds of its own."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from hamba_core.errors import ConfigurationError, NoPicturesError
from stages.contract import Source
from stages.packets import Choice, Frame, SourceInfo
from stages.sources.timestamps import CLOSE

_CLOCK: Final = re.compile(r"(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>[0-5]?\d(?:\.\d*)?)")


def seconds_of(given: Any) -> Any:
    """Return the seconds that a text such as 1:02:03.5 or 2:30 means; anything else as it is."""
    found = _CLOCK.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is None:
        return given
    return int(found["hours"] or 0) * 3600 + int(found["minutes"]) * 60 + float(found["seconds"])


def frames_within(info: SourceInfo, start: float | None, end: float | None) -> int | None:
    """Return how many frames there are from `start` to `end`, s, of a source that tells of as many; None: unknown."""
    if info.fps is None or info.frames is None:
        return None
    length = info.frames / info.fps
    return max(0, round((min(end or length, length) - (start or 0.0)) * info.fps))


class PartSource(Source):
    """The frames of a source that is read from its beginning, from `start` to before `end`, s; they count from 0."""

    name = "source"

    def __init__(self, source: Source, start: float | None, end: float | None) -> None:
        """Raises ConfigurationError for a source that has no times of its own."""
        if source.live or source.stills:
            found = "a live one" if source.live else "single pictures"
            raise ConfigurationError(
                f"source.start, source.end: expected a video or the pictures of a scene, found {found}; leave them out"
            )
        self._source, self._start, self._end = source, start or 0.0, end

    def open(self) -> SourceInfo:
        """Open the source, and return what it tells, of the part."""
        info = self._source.open()
        return replace(info, frames=frames_within(info, self._start, self._end))

    def frames(self) -> Iterator[Frame | None]:
        """Yield the frames of the part. Raises NoPicturesError where there is none."""
        given, pts = 0, 0.0
        for frame in self._source.frames():
            if frame is None:
                yield None
                continue
            pts = frame.meta.pts
            if self._end is not None and pts >= self._end - CLOSE:
                return
            if pts >= self._start - CLOSE:
                yield Frame(replace(frame.meta, index=given), frame.image)
                given += 1
        if not given:
            raise NoPicturesError(
                f"source.start: expected a time before its end, at {pts:.2f} s, found {self._start:g} s"
            )

    def interrupt(self) -> None:
        """Interrupt the source itself."""
        self._source.interrupt()

    def skipped(self) -> Mapping[str, int]:
        """Return the source's own."""
        return self._source.skipped()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def choices(self) -> tuple[Choice, ...]:
        """Return the source's choices, and the part."""
        return (*self._source.choices(), part_choice(self._start, self._end))


def part_choice(start: float | None, end: float | None) -> Choice:
    """Return the choice that tells of a part."""
    until = "its end" if end is None else f"{end:g} s"
    return Choice("part", f"from {start or 0.0:g} s to {until}", "source.start or source.end is set")
