"""A recording at a glance: what is in it, how the run went, and how its hands moved."""

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import nan
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from hamba_core.hand import Side
from stages import wire
from stages.packets import Hand, Status
from stages.recording.format import RecordedRun
from stages.recording.reader import read_recording

_LONGEST_STEP: Final = 0.5
"""The longest time between two frames of a hand over which it has a speed, s."""


@dataclass
class Series:
    """Numbers over time, kept in few bytes each: a recording may be hours long."""

    pts: "array[float]" = field(default_factory=lambda: array("d"))  # s
    values: "array[float]" = field(default_factory=lambda: array("f"))

    def add(self, pts: float, value: float) -> None:
        """Add a number at this time."""
        self.pts.append(pts)
        self.values.append(value)

    def arrays(self) -> tuple[NDArray[np.float64], Float32Array]:
        """Return times (N,) s and values (N,)."""
        return np.array(self.pts, np.float64), np.array(self.values, np.float32)


class TrackOverview:
    """A hand that was followed."""

    def __init__(self, id: int, side: Side) -> None:
        self.id, self.side = id, side
        self.scores, self.speeds = Series(), Series()  # 0..1; m/s, NaN where it was away just before
        self.qualities = Series()  # 0..1 where it was seen, else NaN
        self.extrapolated = 0
        self._place: NDArray[np.float64] | None = None

    def add(self, pts: float, hand: Hand) -> None:
        """Count a frame in which the hand is there."""
        place = hand.joints.mean(0, np.float64)
        step = pts - self.last_pts if self.frames else nan
        known = self._place is not None and 0 < step <= _LONGEST_STEP
        self.speeds.add(pts, float(np.linalg.norm(place - self._place)) / step if known else nan)
        self.scores.add(pts, hand.score)
        self.qualities.add(pts, hand.quality if hand.seen and hand.quality is not None else nan)
        self.extrapolated += not hand.seen
        self._place = place

    @property
    def frames(self) -> int:
        """The number of frames that have the hand."""
        return len(self.scores.pts)

    @property
    def first_pts(self) -> float:
        """When it was first seen, s."""
        return self.scores.pts[0]

    @property
    def last_pts(self) -> float:
        """When it was last seen, s."""
        return self.scores.pts[-1]


@dataclass
class Overview:
    """What `read_overview` found."""

    path: Path
    bytes: int
    run: RecordedRun
    vertices: int  # of the hand model
    frames: int = 0
    frames_with_hands: int = 0
    first_pts: float = nan  # s
    last_pts: float = nan
    lost: int = 0  # results that were recorded and are damaged now: gaps in the messages' numbers
    skipped: int = 0  # frames between the first and the last that have no result: gaps in the frames' numbers
    tracks: list[TrackOverview] = field(default_factory=list)  # in the order in which they came
    latency: Series = field(default_factory=Series)  # ms from capture to recording
    work: Series = field(default_factory=Series)  # ms a frame in all stages
    status: Status | None = None  # the run's report, or the last that was heard of it

    @property
    def ended_in_order(self) -> bool:
        """Whether the recording has the end of the run; false after a kill or a full disk."""
        return self.status is not None and self.status.state != "running"

    @property
    def duration(self) -> float:
        """The time from the first frame to the last, s."""
        return self.last_pts - self.first_pts if self.frames else 0.0

    @property
    def rate(self) -> float:
        """Recorded frames/s; NaN where there are fewer than two."""
        return (self.frames - 1) / self.duration if self.duration > 0 else nan

    def tree(self) -> dict[str, Any]:
        """Return all of it but the series, in plain types."""
        return {
            "path": str(self.path),
            "bytes": self.bytes,
            "stream": self.run.stream,
            "source": self.run.source,
            "started_unix_ns": self.run.clock.unix_ns,
            "estimator": self.run.estimator,
            "hand_model": {"name": self.run.hand_model, "vertices": self.vertices},
            "settings": self.run.settings,
            "versions": self.run.versions,
            "frames": self.frames,
            "frames_with_hands": self.frames_with_hands,
            "first_pts": self.first_pts,
            "last_pts": self.last_pts,
            "rate": self.rate,
            "lost": self.lost,
            "skipped": self.skipped,
            "tracks": [
                {
                    "id": track.id,
                    "side": track.side,
                    "frames": track.frames,
                    "first_pts": track.first_pts,
                    "last_pts": track.last_pts,
                    "mean_score": float(np.mean(track.scores.values)),
                    "mean_quality": mean_of(track.qualities),
                    "extrapolated": track.extrapolated,
                    "mean_speed": mean_of(track.speeds),
                }
                for track in self.tracks
            ],
            "ended_in_order": self.ended_in_order,
            "report": self.status,
        }


def mean_of(series: Series) -> float:
    """Return the mean of those values that are numbers; NaN where there are none."""
    _, values = series.arrays()
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else nan


def read_overview(
    path: Path, on_progress: Callable[[float], None] = lambda share: None, take: int | None = None
) -> Overview:
    """Read a recording through; `take` as in `read_recording`. `on_progress` is told the share that is done, 0 to 1.

    Raises SourceError, WireError.
    """
    recording = read_recording(path, take)
    overview = Overview(path, path.stat().st_size, recording.run, recording.topology.vertices)
    overview.status = recording.last_status()
    expected = overview.status.frames if overview.status else 0
    tracks: dict[tuple[int, Side], TrackOverview] = {}
    next_seq = next_index = 0
    for _, message in recording.messages(["hands"]):
        if not isinstance(message, wire.HandsMessage):
            continue
        frame = message.result.frame
        overview.lost += message.seq - next_seq
        if overview.frames:
            overview.skipped += frame.index - next_index
        else:
            overview.first_pts = frame.pts
        next_seq, next_index = message.seq + 1, frame.index + 1
        overview.last_pts = frame.pts
        overview.frames += 1
        overview.frames_with_hands += bool(message.result.hands)
        overview.latency.add(frame.pts, (message.published_ns - frame.captured_ns) / 1e6)
        overview.work.add(frame.pts, sum(message.result.stage_ns.values()) / 1e6)
        for hand in message.result.hands:
            key = hand.track_id, hand.side
            if key not in tracks:
                tracks[key] = TrackOverview(*key)
            tracks[key].add(frame.pts, hand)
        on_progress(min(overview.frames / expected, 1.0) if expected else 0.0)
    overview.tracks = list(tracks.values())
    if overview.status is not None:  # the count is not in the messages
        overview.status = replace(overview.status, frames_with_hands=overview.frames_with_hands)
    return overview
