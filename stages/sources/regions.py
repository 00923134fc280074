"""A part of the picture can stand for the whole: a region, in pixels or in shares of the picture.

What is outside it is cut away at the source. Frames, pictures that are published or drawn over, and hands' pixels are
those of the region; the camera's principal point moves with it, so that everything in metres is as it would be in the
whole picture.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Self

import numpy as np

from hamba_core.errors import ConfigurationError, SourceError
from hamba_core.view import Intrinsics
from stages.contract import Source
from stages.packets import Choice, Frame, SourceInfo, SourceStatus

LEAST_SIDE = 16
"""px; a hand cannot be recognised in less."""


@dataclass(frozen=True)
class Region:
    """Left, top, width and height: whole pixels, or shares of the picture, 0 to 1, if none is larger than 1."""

    x: float
    y: float
    width: float
    height: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the region that a text such as "320,0,640,720" or "0.25,0,0.5,1" means. Raises ValueError."""
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4 or not all(map(isfinite, numbers)):
            raise ValueError("expected four numbers, x,y,width,height, in pixels or in shares of the picture (0 to 1)")
        region = cls(*numbers)
        if min(numbers) < 0 or not (region.width and region.height):
            raise ValueError("expected a place in the picture and a width and a height above 0")
        if region.in_shares:
            if region.x + region.width > 1 + 1e-9 or region.y + region.height > 1 + 1e-9:
                raise ValueError("expected shares within the picture: x + width and y + height are at most 1")
        elif any(number != round(number) for number in numbers):
            raise ValueError("expected whole pixels, or shares of the picture that are all at most 1")
        return region

    @property
    def in_shares(self) -> bool:
        """Return whether the numbers are shares of the picture, not pixels."""
        return max(self.x, self.y, self.width, self.height) <= 1

    def within(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom, px, in a picture of this size. Raises ConfigurationError."""
        sx, sy = (width, height) if self.in_shares else (1, 1)
        left, top = round(self.x * sx), round(self.y * sy)
        right, bottom = round((self.x + self.width) * sx), round((self.y + self.height) * sy)
        if right > width or bottom > height:
            raise ConfigurationError(
                f"source.region: expected a region inside pictures of {width}x{height}, found one up to "
                f"({right}, {bottom}); give it in shares, 0 to 1, if sizes differ"
            )
        if min(right - left, bottom - top) < LEAST_SIDE:
            raise ConfigurationError(
                f"source.region: expected at least {LEAST_SIDE}x{LEAST_SIDE} pixels of pictures of {width}x{height}, "
                f"found {right - left}x{bottom - top}: too small to show a hand"
            )
        return left, top, right, bottom


class RegionSource(Source):
    """The frames of a source, each cut to a region of it, with the camera of the region."""

    name = "source"

    def __init__(self, source: Source, region: Region) -> None:
        self._source = source
        self._region = region
        self.live, self.stills = source.live, source.stills
        self._whole: tuple[int, int] | None = None

    def open(self) -> SourceInfo:
        """Open the source, and return what it tells, of the region. Raises ConfigurationError if it is not inside."""
        info = self._source.open()
        left, top, right, bottom = self._region.within(info.width, info.height)
        self._whole = info.width, info.height
        return replace(info, width=right - left, height=bottom - top, camera=_moved(info.camera, left, top))

    def frames(self) -> Iterator[Frame | None]:
        """Yield the source's frames, cut. Raises SourceError where pictures become too small for the region."""
        for frame in self._source.frames():
            yield None if frame is None else self._cut(frame)

    def status(self) -> SourceStatus | None:
        """Return how the source is."""
        return self._source.status()

    def skipped(self) -> Mapping[str, int]:
        """Return what the source never gave, by cause."""
        return self._source.skipped()

    def interrupt(self) -> None:
        """Interrupt the source itself."""
        self._source.interrupt()

    def close(self) -> None:
        """Close the source."""
        self._source.close()

    def choices(self) -> tuple[Choice, ...]:
        """Return the source's choices, and the region."""
        if self._whole is None:
            return self._source.choices()
        left, top, right, bottom = self._region.within(*self._whole)
        size = f"{self._whole[0]}x{self._whole[1]}"
        chosen = f"{right - left}x{bottom - top} at ({left}, {top}) of {size}"
        return (*self._source.choices(), Choice("region", chosen, "source.region is set"))

    def _cut(self, frame: Frame) -> Frame:
        meta = frame.meta
        try:
            left, top, right, bottom = self._region.within(meta.width, meta.height)
        except ConfigurationError as error:
            raise SourceError(f"frame {meta.index}: {error}") from error
        self._whole = meta.width, meta.height
        camera = _moved(meta.camera, left, top)
        image = np.ascontiguousarray(frame.image[top:bottom, left:right])
        return Frame(replace(meta, width=right - left, height=bottom - top, camera=camera), image)


def _moved(camera: Intrinsics, left: int, top: int) -> Intrinsics:
    """Return the camera of a picture whose corner is there: pixels have their origin in the picture's corner."""
    return replace(camera, cx=camera.cx - left, cy=camera.cy - top)
