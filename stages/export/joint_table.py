"""Joints as a table, one line a hand a frame, for spreadsheets and data frames: CSV.

Metres in the camera frame, pixels in the picture, as in the recording; in order of time.
"""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Final

from hamba_core.skeleton import JOINT_NAMES
from stages.export.in_time import hands_in_time
from stages.export.settings import ExportSettings
from stages.export.tracks import Take

COLUMNS: Final = (
    "frame", "pts", "track", "side", "score",
    *(f"{joint}_{axis}" for joint in JOINT_NAMES for axis in ("x", "y", "z")),
    *(f"{joint}_{axis}_px" for joint in JOINT_NAMES for axis in ("x", "y")),
)  # fmt: skip


def export_csv(take: Take, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]) -> list[Path]:
    """Write one table with all tracks."""
    path = folder / f"{take.recording.path.stem}.csv"
    rows_in_all, done = sum(track.rows for track in take.tracks), 0
    numbers = ",".join(["%.6f"] * 63 + ["%.2f"] * 42)
    with path.open("w", newline="") as file:
        csv.writer(file).writerow(COLUMNS)
        for hands in hands_in_time(take.tracks):
            for track, row, _ in hands:
                values = (*row["joints"].ravel().tolist(), *row["joints_2d"].ravel().tolist())
                head = f"{row['frame'][0]},{row['pts'][0]:.6f},{track.id},{track.side},{row['score'][0]:.3f},"
                file.write(head + numbers % values + "\r\n")
                done += 1
            on_progress(done / rows_in_all)
    return [path]
