"""A camera, the modes in which it gives pictures, and which of them is taken."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, log
from typing import Final

from stages.sources.settings import CameraSettings

USUAL_SIZE: Final = (1280, 720)
"""px, asked for where the settings say nothing: a hand at two metres still has a hundred of them."""
USUAL_RATE: Final = 30.0
"""Pictures a second, asked for where the settings say nothing."""

RAW_BYTES: Final = 20_000_000
"""Bytes a second up to which pictures are taken raw: half of what USB 2 carries, so that a second camera fits too."""

_ENOUGH: Final = 0.95  # of the wanted rate
_HIDDEN: Final = ("H264", "HEVC")  # coded over several pictures, which costs time: taken only where there is no other


@dataclass(frozen=True)
class Mode:
    """One format at one size, and the rates at which the camera gives it."""

    format: str  # the driver's name of four letters: "MJPG", "YUYV"
    width: int  # px; 0 where the driver does not say
    height: int  # px
    rates: tuple[float, ...] = ()  # pictures a second, the highest first; empty where the driver does not say
    ffmpeg: str = ""  # what FFmpeg calls the format; empty where it cannot read it
    bits: int = 0  # of a pixel; 0 where pictures are compressed

    @property
    def bytes_per_picture(self) -> float:
        """Return what a picture weighs; 0 where it is compressed."""
        return self.width * self.height * self.bits / 8

    def nearest_rate(self, wanted: float) -> float | None:
        """Return the camera's rate that comes nearest; None where the driver does not say."""
        return min(self.rates, key=lambda rate: abs(log(rate / wanted)), default=None)


@dataclass(frozen=True)
class Camera:
    """A camera that was found."""

    number: int
    name: str
    device: str  # what opens it: a device's path, or the name by which the system knows it
    modes: tuple[Mode, ...] = ()
    place: str = ""  # where it is plugged in; empty where the system does not say
    problem: str = ""  # why its modes are not known

    def __str__(self) -> str:
        return f"{self.number} ({self.name})"


def mode_for(modes: Sequence[Mode], wishes: CameraSettings) -> tuple[Mode, float | None] | None:
    """Return the mode to ask for and its rate; None where no mode is known that FFmpeg reads.

    The size nearest to the wanted one comes first, then a rate near the wanted one, then the format: raw pictures as
    far as `RAW_BYTES` go, since they need no decoding, then JPEG, then raw ones that need more, then video.
    Where no size is wanted, one that does not reach the rate gives way to a smaller one that does.
    """
    known = [mode for mode in modes if mode.ffmpeg and mode.width]
    if not known:
        return None
    rate = wishes.rate or USUAL_RATE
    size = (wishes.width, wishes.height) if wishes.width and wishes.height else None
    if size is None and (fast := [mode for mode in known if _reaches(mode, rate)]):
        known = fast
    nearest = min(known, key=lambda mode: _distance(mode, size or USUAL_SIZE))
    same = [mode for mode in known if (mode.width, mode.height) == (nearest.width, nearest.height)]
    chosen = min(same, key=lambda mode: (*_slowness(mode, rate), _burden(mode, rate)))
    return chosen, chosen.nearest_rate(rate)


def _distance(mode: Mode, size: tuple[int, int]) -> float:
    return hypot(log(mode.width / size[0]), log(mode.height / size[1]))


def _reaches(mode: Mode, wanted: float) -> bool:
    return not mode.rates or mode.rates[0] >= _ENOUGH * wanted


def _slowness(mode: Mode, wanted: float) -> tuple[bool, float]:
    if _reaches(mode, wanted):
        return False, 0.0
    return True, -mode.rates[0]


def _burden(mode: Mode, wanted: float) -> int:
    if mode.format in _HIDDEN:
        return 3
    if not mode.bits:
        return 1
    return 0 if mode.bytes_per_picture * (mode.nearest_rate(wanted) or wanted) <= RAW_BYTES else 2
