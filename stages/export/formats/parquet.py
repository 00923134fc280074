"""Hands as an Arrow table, a hand of a frame a row: Parquet, for pandas, Polars, DuckDB and Spark.

Everything is as in the recording: metres, pixels, the camera frame; matrices are flat, row by row. Rows stand track by
track, each in order of time, so that a reader that wants one track skips the others.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hamba_core.packages import needed_for
from stages.export.settings import ExportSettings
from stages.export.tracks import Rows, Selection, Track

if TYPE_CHECKING:
    import pyarrow as pa

ARRAYS: Final = {
    "camera": 4,
    "box": 4,
    "joints": 63,
    "joints_2d": 42,
    "global_orient": 9,
    "hand_pose": 135,
    "betas": 10,
    "translation": 3,
    "translation_std": 3,
}
"""Columns that hold so many float32 numbers a row, named as the fields of `packets.Hand`; camera: fx, fy, cx, cy."""

_ROWS: Final = 16384  # of a row group at most


def export_parquet(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one file with all tracks; `video` is the source's name. Raises DependencyError without PyArrow."""
    path = folder / f"{selection.recording.path.stem}.parquet"
    write_table(selection, path, selection.recording.run.source.name, on_progress)
    return [path]


def write_table(
    selection: Selection, path: Path, video: str, on_progress: Callable[[float], None] = lambda share: None
) -> int:
    """Write the hands of one video, which has this name in the table, and return how many rows there are."""
    with needed_for("Parquet files"):
        import pyarrow.parquet as pq

    schema = hand_schema()
    in_all, read, written = sum(track.rows for track in selection.tracks), 0, 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for track in selection.tracks:
            for rows, _ in track.blocks(_ROWS, vertices=False):
                table = _table(rows[rows["valid"]], track, video, schema)
                writer.write_table(table)
                read, written = read + len(rows), written + table.num_rows
                on_progress(read / in_all)
    return written


def hand_schema() -> "pa.Schema":
    """Return the table's columns and their types, the same for every file."""
    with needed_for("Parquet files"):
        import pyarrow as pa

    return pa.schema(
        [
            pa.field("video", pa.string(), nullable=False),
            pa.field("frame", pa.int64(), nullable=False),
            pa.field("pts", pa.float64(), nullable=False),
            pa.field("track", pa.int32(), nullable=False),
            pa.field("side", pa.string(), nullable=False),
            pa.field("seen", pa.bool_(), nullable=False),
            pa.field("score", pa.float32(), nullable=False),
            pa.field("quality", pa.float32()),
            *(pa.field(name, pa.list_(pa.float32(), size)) for name, size in ARRAYS.items()),
            pa.field("picture", pa.string()),
        ],
        metadata={"hamba-stream": "hands, version 1", "units": "metres, seconds, pixels; camera frame as OpenCV's"},
    )


def _table(rows: Rows, track: Track, video: str, schema: "pa.Schema") -> "pa.Table":
    import pyarrow as pa

    count = len(rows)
    columns: list[Any] = [
        pa.array([video] * count, pa.string()),
        pa.array(rows["frame"], pa.int64()),
        pa.array(rows["pts"], pa.float64()),
        pa.array(np.full(count, track.id), pa.int32()),
        pa.array([track.side] * count, pa.string()),
        pa.array(rows["seen"] >= 0.5),
        pa.array(rows["score"], pa.float32()),
        pa.array(rows["quality"], pa.float32(), from_pandas=True),  # NaN: unknown
        *(_lists(rows[name], size) for name, size in ARRAYS.items()),
        pa.array([track.picture or None] * count, pa.string()),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _lists(values: Rows, size: int) -> "pa.FixedSizeListArray":
    """Return (N, ...) numbers as N lists; a row that is NaN altogether, which nobody knows, is null."""
    import pyarrow as pa

    flat = np.ascontiguousarray(values, dtype=np.float32).reshape(-1, size)
    unknown = np.isnan(flat).all(axis=1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), size, mask=pa.array(unknown))
