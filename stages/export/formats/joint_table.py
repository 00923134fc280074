"""Joints as a table, one line a hand a frame, for spreadsheets and data frames: CSV.

Metres in the camera frame, pixels in the picture, as in the recording; in order of time.
"""

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.hand import JOINT_NAMES
from stages.export.settings import ExportSettings
from stages.export.tracks import Rows, Selection, Track, merge_by_time

COLUMNS: Final = (
    "frame", "pts", "track", "side", "score",
    *(f"{joint}_{axis}" for joint in JOINT_NAMES for axis in ("x", "y", "z")),
    *(f"{joint}_{axis}_px" for joint in JOINT_NAMES for axis in ("x", "y")),
    "seen", "quality",
)  # fmt: skip


_LINE: Final = "%d,%s,%d,%s,%.3f," + ",".join(["%.6f"] * 63 + ["%.2f"] * 42) + ",%d,%s\r\n"


def export_csv(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one table with all tracks. For single pictures it has names in the place of times."""
    path = folder / f"{selection.recording.path.stem}.csv"
    rows_in_all, done = sum(track.rows for track in selection.tracks), 0
    with path.open("w", newline="") as file:
        csv.writer(file).writerow("picture" if name == "pts" and selection.pictures else name for name in COLUMNS)
        for _, lines in merge_by_time(selection.tracks, _lines_of):
            file.writelines(lines)
            done += len(lines)
            on_progress(done / rows_in_all)
    return [path]


def _lines_of(track: Track) -> Iterator[tuple[float, str]]:
    for block, _ in track.blocks(vertices=False):
        for row in block[block["valid"]]:
            moment = _quoted(track.picture) if track.picture else f"{row['pts']:.6f}"
            head = (row["frame"], moment, track.id, track.side, row["score"])
            yield (
                float(row["pts"]),
                _LINE % (*head, *row["joints"].ravel().tolist(), *row["joints_2d"].ravel().tolist(), *_trust(row)),
            )


def _quoted(text: str) -> str:
    """Return a text as a field of CSV (RFC 4180)."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def _trust(row: Rows) -> tuple[bool, str]:
    """Return whether the hand was seen, and its quality, empty where nobody knows."""
    return bool(row["seen"] >= 0.5), "" if np.isnan(row["quality"]) else f"{row['quality']:.3f}"
