"""How a run goes: what its stages took and dropped, how late it is, and how its source is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from stages.packets.runs import Choice


@dataclass(frozen=True)
class Percentiles:
    """Milliseconds; NaN where nothing was measured."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class StageStatus:
    """Counts of one stage or sink. received = emitted + the sum of dropped + in_flight."""

    name: str
    received: int
    emitted: int
    dropped: Mapping[str, int]  # by cause
    in_flight: int
    time: Percentiles  # ms a frame in the stage itself, over the same time as Status.rate
    queue_depth: int  # packets waiting before it now
    queue_peak: int
    queue_capacity: int


@dataclass(frozen=True)
class TrackCounts:
    """Whether hands stayed the same hands over a run."""

    births: int = 0  # tracks that began
    deaths: int = 0  # of those, the ones that are not there at the end
    gaps: int = 0  # times that a track was away and came back
    gap_seconds: float = 0.0  # s, in all gaps together
    side_flips: int = 0  # times that a track changed sides

    def __str__(self) -> str:
        """Return a text as in `births 3, deaths 1, gaps 2 (0.4 s), side flips 0`."""
        return (
            f"births {self.births}, deaths {self.deaths}, gaps {self.gaps} ({self.gap_seconds:.1f} s), "
            f"side flips {self.side_flips}"
        )


SourceState = Literal["connecting", "live", "stalled", "frozen", "black", "lost", "ended"]
"""What a live source is in: no picture yet; as it should be; no pictures for a second; the same one again and again;
nothing but black; dropped, and being opened again; over."""


@dataclass(frozen=True)
class SourceStatus:
    """How a live source is."""

    state: str  # a SourceState; later publishers may know others
    seconds: float  # s in this state
    reason: str  # why there are no pictures; empty where there are
    age: float  # s since the capture of the newest picture that it gave; NaN before the first
    captured_by: str  # how the times of capture are known, as `FrameMeta.captured_by`; empty before the first picture
    counts: Mapping[str, int]  # what happened so far, as {"reconnections": 2, "stalls": 1}


@dataclass(frozen=True)
class Status:
    """The state of a run: once a second while it goes, and as its report at the end."""

    stream: str
    state: str  # "running", "ended", "stopped", "failed"
    reason: str  # why it ended; empty while running
    elapsed: float  # s since everything was open and frames began to flow
    frames: int  # results that left the last stage
    hands: int  # hands in the newest result
    rate: float  # results a second, over the last seconds while running, over the whole run at the end
    latency: Percentiles  # ms from capture to the end of the last stage, over the same time as the rate
    stages: tuple[StageStatus, ...]  # source, stages, sinks, in order
    choices: tuple[Choice, ...]
    errors: Mapping[str, int]  # failed frames by kind of error, "stage: Error"
    frames_with_hands: int = 0  # results that had any; not on the wire
    tracks: TrackCounts | None = None  # not on the wire
    source: SourceStatus | None = None  # none where the source is not live
    doing: tuple[str, ...] = ()  # what hands do in the newest result, as in "left pinch"; not on the wire
