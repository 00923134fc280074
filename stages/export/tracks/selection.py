"""The hands of a recording that are exported, track by track.

A recording has all hands of a frame together and may be hours long. It is read once, and each track's rows go to files
of its own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from hamba_core.errors import NoHandsError, SourceError
from hamba_core.hand import Side
from stages.export.settings import ExportSettings
from stages.export.tracks.rows import events_of
from stages.export.tracks.track_files import BUFFERED, FrameLog, Track, TrackWriter
from stages.packets import Hand
from stages.recording import Recording


class Picture(NamedTuple):
    """A single picture, with hands or without."""

    name: str
    frame: int  # the source's count
    size: tuple[int, int]  # px
    camera: tuple[float, float, float, float]  # fx, fy, cx, cy, px


@dataclass(frozen=True)
class Selection:
    """What of a recording is exported. Its tracks are there as long as the folder that they were put into."""

    recording: Recording
    tracks: tuple[Track, ...]
    frames: int  # chosen, with hands or without
    rate: float  # rows a second, nominal
    start: float  # s, of the first chosen frame
    end: float  # s, of the last one
    pictures: tuple[Picture, ...] = ()  # of single pictures all that were chosen; then each track is a hand in one
    in_world: bool = False  # whether the camera's place in a world is known, of any frame

    def check_vertices(self, otherwise: str = "") -> None:
        """Raise SourceError where the recording has no meshes; `otherwise` is what else there is to do."""
        if not all(track.vertices for track in self.tracks):
            raise SourceError(
                f"{self.recording.path}: expected the vertices of all hands in the recording, found hands without; "
                f"record with record.vertices=float32{otherwise}"
            )


def select_tracks(
    recording: Recording, settings: ExportSettings, folder: Path, on_progress: Callable[[float], None]
) -> Selection:
    """Read a recording's chosen hands into files in this folder.

    Raises NoHandsError where there is no hand in any frame, SourceError where there is none of what was chosen,
    WireError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frames = FrameLog(folder / "frames")
    writers: dict[tuple[int, Side], TrackWriter] = {}
    seen: set[tuple[int, Side]] = set()
    expected, stills = recording.run.source.frames, recording.run.source.stills
    pictures: list[Picture] = []
    in_world = False
    for result in recording.results():
        frame = result.frame
        if settings.end is not None and frame.pts > settings.end:
            break
        if settings.start is not None and frame.pts < settings.start:
            continue
        if stills:
            camera = (frame.camera.fx, frame.camera.fy, frame.camera.cx, frame.camera.cy)
            pictures.append(Picture(frame.name, frame.index, (frame.width, frame.height), camera))
        in_world = in_world or frame.world is not None
        for hand in result.hands:
            key = (hand.track_id, hand.side)
            seen.add(key)
            if _is_chosen(hand, settings):
                if key not in writers:
                    picture = frame.name if stills else ""
                    writers[key] = TrackWriter(folder, *key, len(hand.vertices), picture)
                writers[key].add(frames, frame, hand, events_of(hand, result))
        frames.add(frame)
        if frames.count % BUFFERED == 0:
            for writer in writers.values():
                writer.flush()
            on_progress(min(1.0, frames.count / expected) if expected else 0.0)
    tracks = tuple(writers[key].finish() for key in sorted(writers))
    if not tracks:
        error = SourceError if seen or not frames.count else NoHandsError
        raise error(_nothing_message(recording, settings, frames, sorted(seen)))
    on_progress(1.0)
    rate = _rate(recording, frames)
    return Selection(
        recording, tracks, frames.count, rate, frames.first_pts, frames.last_pts, tuple(pictures), in_world
    )


def _is_chosen(hand: Hand, settings: ExportSettings) -> bool:
    return (settings.tracks is None or hand.track_id in settings.tracks) and settings.side in (None, hand.side)


def _rate(recording: Recording, frames: FrameLog) -> float:
    """Return the source's nominal rate, else the measured one."""
    if recording.run.source.fps:
        return recording.run.source.fps
    span = frames.last_pts - frames.first_pts
    return (frames.count - 1) / span if span > 0 else 30.0


def _nothing_message(
    recording: Recording, settings: ExportSettings, frames: FrameLog, tracks: list[tuple[int, Side]]
) -> str:
    if not frames.count:
        found = "no frames" if settings.start is None and settings.end is None else "no frames between start and end"
    elif not tracks:
        found = "frames without any hand"
    else:
        names = ", ".join(f"{track} ({side})" for track, side in tracks[:20])
        found = f"tracks {names}{'...' if len(tracks) > 20 else ''}, none of which was chosen"
    return f"{recording.path}: expected hands to export, found {found}; `hamba info` shows what is in it"
