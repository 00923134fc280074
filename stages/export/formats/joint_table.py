"""Joints as a table, one line a hand a frame, for spreadsheets and data frames: CSV.

Metres in the camera frame, pixels in the picture, as in the recording; in order of time.
"""

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.hand import JOINT_NAMES
from stages.export.settings import ExportSettings
from stages.export.tracks import Rows, Selection, Track, merge_by_time
from stages.packets import EVENT_KINDS

COLUMNS: Final = (
    "frame", "pts", "track", "side", "score",
    *(f"{joint}_{axis}" for joint in JOINT_NAMES for axis in ("x", "y", "z")),
    *(f"{joint}_{axis}_px" for joint in JOINT_NAMES for axis in ("x", "y")),
    "seen", "quality", "events", *(f"{joint}_visibility" for joint in JOINT_NAMES),
)  # fmt: skip
IN_WORLD: Final = tuple(f"{joint}_{axis}_world" for joint in JOINT_NAMES for axis in ("x", "y", "z"))
"""Columns of a recording that tells where its camera stood."""


_LINE: Final = "%d,%s,%d,%s,%.3f," + ",".join(["%.6f"] * 63 + ["%.2f"] * 42) + ",%d,%s,%s,%s"


def export_csv(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one table with all tracks. For single pictures it has names in the place of times."""
    path = folder / f"{selection.recording.path.stem}.csv"
    rows_in_all, done = sum(track.rows for track in selection.tracks), 0
    with path.open("w", newline="") as file:
        columns = (*COLUMNS, *IN_WORLD) if selection.in_world else COLUMNS
        csv.writer(file).writerow("picture" if name == "pts" and selection.pictures else name for name in columns)
        for _, lines in merge_by_time(selection.tracks, partial(_lines_of, in_world=selection.in_world)):
            file.writelines(lines)
            done += len(lines)
            on_progress(done / rows_in_all)
    return [path]


def _lines_of(track: Track, *, in_world: bool) -> Iterator[tuple[float, str]]:
    for block, _ in track.blocks(vertices=False):
        for row in block[block["valid"]]:
            moment = _quoted(track.picture) if track.picture else f"{row['pts']:.6f}"
            head = (row["frame"], moment, track.id, track.side, row["score"])
            line = _LINE % (*head, *row["joints"].ravel().tolist(), *row["joints_2d"].ravel().tolist(), *_trust(row))
            yield float(row["pts"]), f"{line}{_in_world(row) if in_world else ''}\r\n"


def _quoted(text: str) -> str:
    """Return a text as a field of CSV (RFC 4180)."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\r\n') else text


def _trust(row: Rows) -> tuple[bool, str, str, str]:
    """Return whether the hand was seen, its quality, what it does, and its joints' visibility; empty if not known."""
    doing = " ".join(kind for kind, confidence in zip(EVENT_KINDS, row["events"], strict=True) if confidence > 0)
    visibility = ",".join(_number(value) for value in row["visibility"].tolist())
    return bool(row["seen"] >= 0.5), _number(float(row["quality"])), doing, visibility


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.3f}"


def _in_world(row: Rows) -> str:
    """Return the joints' places in the world, with a comma before each; empty where it is not known."""
    T = row["T_world_camera"]
    if np.isnan(T).any():
        return "," * len(IN_WORLD)
    return "".join(f",{value:.6f}" for value in (row["joints"] @ T[:3, :3].T + T[:3, 3]).ravel())
