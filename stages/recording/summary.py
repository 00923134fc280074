"""The summary says what happened in a run, as `summary.json`, for programs and people who do not want the recording."""

import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.common.files import create, write_whole
from stages.common.plain import plain
from stages.contract import Sink
from stages.packets import FrameResult, RunInfo, Status


@dataclass
class _Track:
    frames: int = 0
    first_pts: float = math.nan
    last_pts: float = math.nan
    score_sum: float = 0.0
    extrapolated: int = 0
    quality_sum: float = 0.0
    qualities: int = 0


class Summary(Sink):
    """It writes a JSON file at `path`, which must not exist, when the run ends. A run that is killed leaves none."""

    name = "summary"
    spare = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._run: RunInfo | None = None
        self._status: Status | None = None
        self._frames = self._with_hands = 0
        self._first_pts = self._last_pts = math.nan
        self._tracks: defaultdict[tuple[int, str], _Track] = defaultdict(_Track)
        self._pictures: list[dict[str, Any]] = []

    def open(self, run: RunInfo) -> None:
        # Whether it can be written shows now, not after an hour of work.
        create(self._path).close()
        self._path.unlink()
        self._run = run

    def write(self, result: FrameResult) -> None:
        pts = result.frame.pts
        if not self._frames:
            self._first_pts = pts
        self._last_pts = pts
        self._frames += 1
        self._with_hands += bool(result.hands)
        if self._run is not None and self._run.source.stills:
            sides = [hand.side for hand in result.hands]
            self._pictures.append({"name": result.frame.name, "frame": result.frame.index, "hands": sides})
        for hand in result.hands:
            track = self._tracks[hand.track_id, hand.side]
            if not track.frames:
                track.first_pts = pts
            track.last_pts = pts
            track.frames += 1
            track.score_sum += hand.score
            track.extrapolated += not hand.seen
            if hand.seen and hand.quality is not None:
                track.quality_sum += hand.quality
                track.qualities += 1

    def status(self, status: Status) -> None:
        self._status = status

    def close(self) -> None:
        if self._run is None:
            return
        content = plain(self._content(self._run))
        self._run = None
        write_whole(self._path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False).encode() + b"\n")

    def _content(self, run: RunInfo) -> dict[str, Any]:
        status = self._status
        seen: dict[str, Any]
        tracks = [
            {
                "id": track_id,
                "side": side,
                "frames": track.frames,
                "first_pts": track.first_pts,
                "last_pts": track.last_pts,
                "mean_score": track.score_sum / track.frames,
                "mean_quality": track.quality_sum / track.qualities if track.qualities else None,
                "extrapolated": track.extrapolated,
            }
            for (track_id, side), track in self._tracks.items()
        ]
        # Single pictures have no times.
        if run.source.stills:
            seen = {"pictures": self._pictures}
        else:
            seen = {"first_pts": self._first_pts, "last_pts": self._last_pts, "tracks": tracks}
        return {
            "state": status.state if status else "running",
            "reason": status.reason if status else "",
            "stream": run.stream,
            "source": run.source,
            "estimator": run.estimator,
            "hand_model": {"name": run.topology.name, "vertices": run.topology.vertices},
            "started_unix_ns": run.clock.unix_ns,
            "frames": self._frames,
            "frames_with_hands": self._with_hands,
            **seen,
            "run": status,
            "versions": run.versions,
            "settings": run.settings,
        }
