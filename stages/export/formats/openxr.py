"""Hands as OpenXR's 26 joints (XR_EXT_hand_tracking), one JSON object a line: for AR and VR programs and robots.

The frame is OpenXR's: metres, right-handed, x right, y up, -z forward; the camera stands at the origin. A joint's own
axes are the extension's: -z along the bone to its tip, y out of the back of the hand, x to the right of both.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import (
    FINGERS,
    JOINT_NAMES,
    JOINT_PARENTS,
    MODEL_JOINT_NAMES,
    Side,
    flexion_axes,
    load_generic_hand,
    mirrored_points,
    to_quaternion,
)
from stages.export.rig import R_FILE_CAMERA, bone_poses
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection, Track, merge_by_time

_FINGER_PARTS: Final = ("METACARPAL", "PROXIMAL", "INTERMEDIATE", "DISTAL", "TIP")
_THUMB_PARTS: Final = ("METACARPAL", "PROXIMAL", "DISTAL", "TIP")
JOINTS: Final = (
    "PALM", "WRIST",
    *(f"{finger.upper()}_{part}"
      for finger in FINGERS
      for part in (_THUMB_PARTS if finger == "thumb" else _FINGER_PARTS)),
)  # fmt: skip
"""The names of XrHandJointEXT, in its order."""

VALID: Final = 0b0011
"""XR_SPACE_LOCATION_ORIENTATION_VALID_BIT | XR_SPACE_LOCATION_POSITION_VALID_BIT"""
TRACKED: Final = 0b1100
"""XR_SPACE_LOCATION_ORIENTATION_TRACKED_BIT | XR_SPACE_LOCATION_POSITION_TRACKED_BIT"""

METACARPAL: Final = 0.25
"""Where a finger's metacarpal begins, on the way from the wrist to its knuckle. MANO has no such joint."""

_KNUCKLES: Final = {finger: JOINT_NAMES.index(f"{finger}_1") for finger in FINGERS}
_OURS: Final = (
    None, 0,
    *(None if part == "METACARPAL" and finger != "thumb" else _KNUCKLES[finger] + i
      for finger in FINGERS
      for i, part in enumerate(_THUMB_PARTS if finger == "thumb" else _FINGER_PARTS, 0 if finger == "thumb" else -1)),
)  # fmt: skip
"""Which of our joints each of OpenXR's is; None for those that are interpolated."""

_TURNED_WITH: Final = [ours or 0 for ours in _OURS]
"""The bone whose rotation each of them has; the palm and the metacarpals do not move against the wrist."""

FLAGS: Final = tuple(VALID if ours is None else VALID | TRACKED for ours in _OURS)


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
            closing = _closing_axes(offsets[0], track.side)
            mesh = meshes[there][0]
            radii = radii_of(rows["joints"][0], mesh) if len(mesh) and np.isfinite(mesh).all() else _generic_radii()
        for bone, parent in enumerate(JOINT_PARENTS[1:], 1):
            rotations[:, bone] = rotations[:, parent] @ rotations[:, bone]
        positions = joints_26(rows["joints"].astype(np.float64) @ R_FILE_CAMERA)
        orientations = to_quaternion(rotations[:, _TURNED_WITH] @ _axes(_along(offsets), closing))
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


def joints_26(joints: NDArray[np.floating]) -> Array:
    """Take our joints (..., 21, 3) to OpenXR's (..., 26, 3), in any frame; the palm is amid the middle metacarpal."""
    found = joints[..., _TURNED_WITH, :].astype(np.float64)
    wrist = joints[..., 0, :]
    for number, (name, ours) in enumerate(zip(JOINTS, _OURS, strict=True)):
        if ours is None and name != "PALM":
            found[..., number, :] += METACARPAL * (joints[..., _KNUCKLES[_finger_of(name)], :] - wrist)
    found[..., 0, :] = (found[..., JOINTS.index("MIDDLE_METACARPAL"), :] + joints[..., _KNUCKLES["middle"], :]) / 2
    return found


def radii_of(joints: NDArray[np.floating], vertices: NDArray[np.floating]) -> Array:
    """Return distances (26,) m from joints (21, 3) to the skin (V, 3). A tip, which lies on it, has its bone's."""
    distances: Array = np.linalg.norm(joints_26(joints)[:, None] - vertices, axis=2).min(1)
    for number, name in enumerate(JOINTS):
        if name.endswith("_TIP"):
            distances[number] = distances[number - 1]
    return distances


def _generic_radii() -> Array:
    """Return the radii of the generic hand, for a recording without vertices."""
    model = load_generic_hand()
    return radii_of(model.rest_joints_21(np.zeros(10)), model.v_template)


def _finger_of(name: str) -> str:
    """Return the finger whose metacarpal a joint lies along: the palm's and the wrist's is the middle one."""
    finger = name.partition("_")[0].lower()
    return finger if finger in FINGERS else "middle"


def _along(offsets: Array) -> Array:
    """Return which way (N, 26, 3) bones go, in the axes of what they turn with, from offsets (N, 21, 3)."""
    ends = []
    for name, ours in zip(JOINTS, _OURS, strict=True):
        knuckle = _KNUCKLES[_finger_of(name)]
        # A metacarpal goes to its knuckle; a tip goes on as the bone before it.
        ends.append(knuckle if ours is None or ours == 0 else min(ours, knuckle + 2) + 1)
    return offsets[:, ends]


def _closing_axes(offsets: Array, side: Side) -> Array:
    """Return the axes (26, 3) about which joints close, of a hand of this side, from its bones' offsets (21, 3).

    They point to the thumb's side of a right hand, and to the little finger's of a left hand, its mirror image.
    """
    joints = np.zeros((21, 3))
    for bone, parent in enumerate(JOINT_PARENTS[1:], 1):
        joints[bone] = joints[parent] + offsets[bone]  # of the flat hand
    right = mirrored_points(joints, side)
    of_joints = dict(zip(MODEL_JOINT_NAMES[1:], flexion_axes(right), strict=True))
    across = right[_KNUCKLES["index"]] - right[_KNUCKLES["little"]]
    closing = np.empty((26, 3))
    for number, (name, ours) in enumerate(zip(JOINTS, _OURS, strict=True)):
        if ours is None or ours == 0:
            closing[number] = across
        else:
            closing[number] = of_joints[JOINT_NAMES[min(ours, _KNUCKLES[_finger_of(name)] + 2)]]
    return mirrored_points(-closing if side == "left" else closing, side)  # mirrored, it turns the other way


def _axes(along: Array, closing: Array) -> Array:
    """Return the axes (N, 26, 3, 3), as columns, of joints whose bones go (N, 26, 3) and close about (26, 3)."""
    z = -along / np.linalg.norm(along, axis=-1, keepdims=True)
    y = np.cross(closing, z)
    y /= np.linalg.norm(y, axis=-1, keepdims=True)
    return np.stack([np.cross(y, z), y, z], -1)
