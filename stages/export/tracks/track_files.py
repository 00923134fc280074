"""A track's rows and meshes on disk, from which any part can be read: memory does not grow with a track's length."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Float32Array
from hamba_core.hand import Side
from stages.export.tracks.rows import HAND_FIELDS, ROW, Rows, empty_row
from stages.packets import FrameMeta, Hand

BUFFERED: Final = 256  # rows of a track that are kept back, so that files are opened seldom
_BLOCK: Final = 256  # rows


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
        if len(self._waiting) == BUFFERED:
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
        if len(rows) > 1 or len(self._rows) >= BUFFERED:
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


def _append(path: Path, array: NDArray[Any]) -> None:
    with path.open("ab") as file:
        file.write(array.tobytes())


def _vertices_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.vertices")
