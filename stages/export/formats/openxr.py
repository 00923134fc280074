"""Hands as OpenXR's 26 joints (XR_EXT_hand_tracking), one JSON object a line: for AR and VR programs and robots.

The frame is OpenXR's: metres, right-handed, x right, y up, -z forward; the camera stands at the origin. A joint's own
axes are the extension's: -z along the bone to its tip, y out of the back of the hand, x to the right of both.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_PARENTS, to_quaternion
from stages.common.openxr_joints import FLAGS, JOINTS, closing_axes, generic_radii, joints_26, radii_of, turned_26
from stages.export.rig import R_FILE_CAMERA, bone_poses
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection, Track, merge_by_time


def export_openxr(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one file: a line about the file, then a line for each frame with hands."""
    path = folder / f"{selection.recording.path.stem}.openxr.jsonl"
    rows_in_all, done = sum(track.rows for track in selection.tracks), 0
    about = {"format": "XR_EXT_hand_tracking", "joints": JOINTS, "source": selection.recording.run.source.name}
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        file.write(encode(about) + b"\n")
        for pts, hands in merge_by_time(selection.tracks, _hands_of):
            numbers, names, described = zip(*hands, strict=True)
            moment = {"picture": names[0]} if names[0] else {"pts": round(pts, 6)}
            file.write(encode({"frame": numbers[0], **moment, "hands": described}) + b"\n")
            done += len(hands)
            on_progress(done / rows_in_all)
    return [path]


def _hands_of(track: Track) -> Iterator[tuple[float, tuple[int, str, dict[str, Any]]]]:
    """Yield a track's moments, each with its frame's number, its picture's name and the hand as it is written."""
    closing: Array | None = None
    for block, meshes in track.blocks():
        there = block["valid"]
        rows = block[there]
        if not len(rows):
            continue
        rotations, offsets = bone_poses(rows, track.side)
        if closing is None:  # as in the track's first frame: neither varies much
            closing = closing_axes(offsets[0], track.side)
            mesh = meshes[there][0]
            radii = radii_of(rows["joints"][0], mesh) if len(mesh) and np.isfinite(mesh).all() else generic_radii()
        for bone, parent in enumerate(JOINT_PARENTS[1:], 1):
            rotations[:, bone] = rotations[:, parent] @ rotations[:, bone]
        positions = joints_26(rows["joints"].astype(np.float64) @ R_FILE_CAMERA)
        orientations = to_quaternion(turned_26(rotations, offsets, closing))
        written = zip(positions.round(6).tolist(), orientations.round(6).tolist(), strict=True)
        for row, (places, turns) in zip(rows, written, strict=True):
            described = {
                "id": track.id,
                "side": track.side,
                "score": round(float(row["score"]), 3),
                "seen": bool(row["seen"] >= 0.5),
                "quality": None if np.isnan(row["quality"]) else round(float(row["quality"]), 3),
                "positions": places,
                "orientations": turns,
                "radii": radii.round(5).tolist(),
                "flags": FLAGS,
            }
            yield float(row["pts"]), (int(row["frame"]), track.picture, described)
