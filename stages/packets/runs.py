"""What stays the same over a run: its source, its hand model, its settings, and what was chosen for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hamba_core.text import address_of
from hamba_core.view import Intrinsics
from stages.packets.hands import HandTopology


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
