"""A recording's hands, track by track, as arrays on disk: what every exporter reads.

A recording has all hands of a frame together and may be hours long. It is read once, and each track's rows go to files
of its own, from which any part can be had: memory does not grow with the recording's length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from hamba_core.errors import NoHandsError, SourceError
from hamba_core.hand import Side
from stages.export.settings import ExportSettings
from stages.packets import EVENT_KINDS, FrameMeta, FrameResult, Hand
from stages.recording import Recording

ROW: Final = np.dtype(
    [
        ("frame", "<i8"),  # the source's count; of resampled rows, theirs
        ("pts", "<f8"),  # s
        ("camera", "<f4", 4),  # fx, fy, cx, cy, px
        ("T_world_camera", "<f8", (4, 4)),  # where the camera stands; NaN where it is not known
        ("valid", "?"),  # whether the hand is there; all that follows is NaN where it is not
        ("score", "<f4"),
        ("box", "<f4", 4),
        ("global_orient", "<f4", (3, 3)),
        ("hand_pose", "<f4", (15, 3, 3)),
        ("betas", "<f4", 10),
        ("translation", "<f4", 3),
        ("joints", "<f4", (21, 3)),
        ("joints_2d", "<f4", (21, 2)),
        ("seen", "<f4"),  # 1 where it was seen, 0 where it was extrapolated
        ("quality", "<f4"),  # NaN where it is not known, as the next
        ("translation_std", "<f4", 3),
        ("visibility", "<f4", 21),
        ("events", "<f4", len(EVENT_KINDS)),  # confidence of each of `EVENT_KINDS`; 0 where the hand does not do it
    ]
)
"""One hand in one frame; fields as in `packets.Hand`."""

_OF_FRAME: Final = ("frame", "pts", "camera", "T_world_camera", "valid")
HAND_FIELDS: Final = tuple(name for name in ROW.names or () if name not in _OF_FRAME)

_NO_HAND: Final = np.zeros(1, ROW)
for _field in (*HAND_FIELDS, "T_world_camera"):
    _NO_HAND[_field] = np.nan

_LEAST: Final = 1e-3
"""The confidence of an event that is there, at least: 0 stands for none."""
_BUFFERED: Final = 256  # rows of a track that are kept back, so that files are opened seldom
_BLOCK: Final = 256  # rows

Rows = NDArray[Any]
"""A structured array of dtype `ROW`."""


@dataclass(frozen=True)
class Track:
    """A hand from its first frame to its last: a row for each frame between, also for those without it."""

    id: int
    side: Side
    rows: int
    vertices: int  # V; 0 where the recording has none, or not for all its frames
    first_pts: float  # s
    last_pts: float
    path: Path  # of the rows; the vertices' file is beside it
    picture: str = ""  # the name of the picture that it is in, of single pictures

    def read(self, start: int, stop: int) -> Rows:
        """Return rows start..stop, of dtype `ROW`."""
        return np.fromfile(self.path, ROW, max(0, stop - start), offset=start * ROW.itemsize)

    def read_vertices(self, start: int, stop: int) -> Float32Array:
        """Return vertices (N, V, 3) m of rows start..stop; NaN where the hand is not there."""
        numbers = 3 * self.vertices
        count = max(0, min(stop, self.rows) - start)
        if not numbers:
            return np.empty((count, 0, 3), np.float32)
        read = np.fromfile(_vertices_of(self.path), "<f4", count * numbers, offset=start * numbers * 4)
        return read.reshape(-1, self.vertices, 3)

    def blocks(self, size: int = _BLOCK, *, vertices: bool = True) -> Iterator[tuple[Rows, Float32Array]]:
        """Yield all rows and their vertices, so many at a time; (N, 0, 3) vertices where none are wanted."""
        for start in range(0, self.rows, size):
            rows = self.read(start, start + size)
            yield rows, self.read_vertices(start, start + size) if vertices else np.empty((len(rows), 0, 3), np.float32)


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
        if frames.count % _BUFFERED == 0:
            for writer in writers.values():
                writer.flush()
            on_progress(min(1.0, frames.count / expected) if expected else 0.0)
    tracks = tuple(writers[key].finish() for key in sorted(writers))
    if not tracks:
        error = SourceError if seen or not frames.count else NoHandsError
        raise error(_nothing(recording, settings, frames, sorted(seen)))
    on_progress(1.0)
    rate = _rate(recording, frames)
    return Selection(
        recording, tracks, frames.count, rate, frames.first_pts, frames.last_pts, tuple(pictures), in_world
    )


class FrameLog:
    """The frames read so far, on disk: a hand that comes back has rows for the frames it was away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting: list[Rows] = []
        self._written = 0
        self.first_pts = self.last_pts = 0.0

    @property
    def count(self) -> int:
        """The number of frames."""
        return self._written + len(self._waiting)

    def add(self, frame: FrameMeta) -> None:
        """Add a frame."""
        if not self.count:
            self.first_pts = frame.pts
        self.last_pts = frame.pts
        self._waiting.append(empty_row(frame))
        if len(self._waiting) == _BUFFERED:
            self._flush()

    def rows(self, start: int, stop: int) -> Rows:
        """Return frames start..stop of those added, as rows without a hand."""
        self._flush()
        return np.fromfile(self._path, ROW, stop - start, offset=start * ROW.itemsize)

    def _flush(self) -> None:
        if self._waiting:
            _append(self._path, np.concatenate(self._waiting))
            self._written += len(self._waiting)
            self._waiting = []


class TrackWriter:
    """It puts one track's rows into its files."""

    def __init__(self, folder: Path, track_id: int, side: Side, vertices: int, picture: str = "") -> None:
        self._id, self._side, self._vertices, self._picture = track_id, side, vertices, picture
        self._path = folder / f"track-{track_id}-{side}"
        self._path.touch()
        self._rows: list[Rows] = []
        self._meshes: list[Float32Array] = []
        self._meshed = True  # in every frame so far
        self._count = 0
        self._next = -1  # of the frames, after the track's last one
        self._first_pts = self._last_pts = 0.0

    def add(self, frames: FrameLog, frame: FrameMeta, hand: Hand, events: Float32Array) -> None:
        """Add a hand of the frame that comes next in `frames`, with the confidence of its events (5,)."""
        at = frames.count
        for start in range(self._next, at, _BLOCK) if self._next >= 0 else ():
            away = frames.rows(start, min(at, start + _BLOCK))
            self.append(away, self._no_meshes(len(away)))
        self._next = at + 1
        row = empty_row(frame)
        row["valid"] = True
        for name in HAND_FIELDS:
            value = events if name == "events" else getattr(hand, name)
            row[name] = np.nan if value is None else value
        meshed = len(hand.vertices) == self._vertices
        self._meshed &= meshed
        self.append(row, hand.vertices[None] if meshed else self._no_meshes(1))

    def append(self, rows: Rows, meshes: Float32Array) -> None:
        """Append these rows (N,) and vertices (N, V, 3)."""
        if not len(rows):
            return
        if not self._count:
            self._first_pts = float(rows["pts"][0])
        self._last_pts = float(rows["pts"][-1])
        self._count += len(rows)
        self._rows.append(rows)
        self._meshes.append(meshes)
        if len(rows) > 1 or len(self._rows) >= _BUFFERED:
            self.flush()

    def flush(self) -> None:
        """Write what waits."""
        if self._rows:
            _append(self._path, np.concatenate(self._rows))
            if self._vertices:
                _append(_vertices_of(self._path), np.concatenate(self._meshes).astype("<f4", copy=False))
            self._rows, self._meshes = [], []

    def finish(self) -> Track:
        """Finish the files and return the track that was written."""
        self.flush()
        vertices = self._vertices if self._meshed else 0
        return Track(
            self._id, self._side, self._count, vertices, self._first_pts, self._last_pts, self._path, self._picture
        )

    def _no_meshes(self, count: int) -> Float32Array:
        return np.full((count, self._vertices, 3), np.nan, np.float32)


def events_of(hand: Hand, result: FrameResult) -> Float32Array:
    """Return the confidence (5,) of what a hand does in a frame, in the order of `EVENT_KINDS`; 0 for what it does not.

    One that has just ended does not count.
    """
    found = np.zeros(len(EVENT_KINDS), np.float32)
    for event in result.events:
        if (event.track_id, event.side) == (hand.track_id, hand.side) and event.phase != "end":
            found[EVENT_KINDS.index(event.kind)] = max(event.confidence, _LEAST)
    return found


def empty_row(frame: FrameMeta) -> Rows:
    """Return a row (1,) without a hand."""
    row, camera = _NO_HAND.copy(), frame.camera
    row["frame"], row["pts"], row["camera"] = frame.index, frame.pts, (camera.fx, camera.fy, camera.cx, camera.cy)
    if frame.world is not None:
        row["T_world_camera"] = frame.world.T_world_camera
    return row


def _append(path: Path, array: NDArray[Any]) -> None:
    with path.open("ab") as file:
        file.write(array.tobytes())


def _vertices_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.vertices")


def _is_chosen(hand: Hand, settings: ExportSettings) -> bool:
    return (settings.tracks is None or hand.track_id in settings.tracks) and settings.side in (None, hand.side)


def _rate(recording: Recording, frames: FrameLog) -> float:
    """Return the source's nominal rate, else the measured one."""
    if recording.run.source.fps:
        return recording.run.source.fps
    span = frames.last_pts - frames.first_pts
    return (frames.count - 1) / span if span > 0 else 30.0


def _nothing(recording: Recording, settings: ExportSettings, frames: FrameLog, tracks: list[tuple[int, Side]]) -> str:
    if not frames.count:
        found = "no frames" if settings.start is None and settings.end is None else "no frames between start and end"
    elif not tracks:
        found = "frames without any hand"
    else:
        names = ", ".join(f"{track} ({side})" for track, side in tracks[:20])
        found = f"tracks {names}{'...' if len(tracks) > 20 else ''}, none of which was chosen"
    return f"{recording.path}: expected hands to export, found {found}; `hamba info` shows what is in it"
