"""Hands as OpenXR's 26 joints (XR_EXT_hand_tracking), one JSON object a line: for AR and VR programs and robots.

The frame is OpenXR's: metres, right-handed, x right, y up, -z forward; the camera stands at the origin. A joint's own
axes are the extension's: -z along the bone to its tip, y out of the back of the hand, x to the right of both.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from hamba_core.anatomy import flexion_axes
from hamba_core.generic_hand import load_generic_hand
from hamba_core.hand_model import MIRROR
from hamba_core.rotations import to_quaternion
from hamba_core.skeleton import FINGERS, JOINT_NAMES, JOINT_PARENTS, MODEL_JOINT_NAMES, Side
from stages.export.in_time import Present, hands_in_time
from stages.export.settings import ExportSettings
from stages.export.skeleton_rig import R_FILE_CAMERA, bone_poses
from stages.export.tracks import Take, Track

Array = NDArray[np.float64]

_FINGER_PARTS: Final = ("METACARPAL", "PROXIMAL", "INTERMEDIATE", "DISTAL", "TIP")
_THUMB_PARTS: Final = ("METACARPAL", "PROXIMAL", "DISTAL", "TIP")
JOINTS: Final = (
    "PALM", "WRIST",
    *(f"{finger.upper()}_{part}"
      for finger in FINGERS
      for part in (_THUMB_PARTS if finger == "thumb" else _FINGER_PARTS)),
)  # fmt: skip
"""As XrHandJointEXT, in its order."""

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
"""Which of our joints each of OpenXR's is; none for those that are interpolated."""

FLAGS: Final = tuple(VALID if ours is None else VALID | TRACKED for ours in _OURS)


def export_openxr(
    take: Take, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one file: a line about the file, then a line for each frame with hands."""
    path = folder / f"{take.recording.path.stem}.openxr.jsonl"
    rows_in_all, done = sum(track.rows for track in take.tracks), 0
    # Opened when its hand first comes, since that takes reading a track through.
    hands: dict[tuple[int, Side], _OpenXrHand] = {}
    about = {"format": "XR_EXT_hand_tracking", "joints": JOINTS, "source": take.recording.run.source.name}
    encode = msgspec.json.Encoder().encode
    with path.open("wb") as file:
        file.write(encode(about) + b"\n")
        for present in hands_in_time(take.tracks):
            lines = []
            for hand in present:
                key = (hand.track.id, hand.track.side)
                if key not in hands:
                    hands[key] = _OpenXrHand(hand.track)
                lines.append(hands[key].described(hand))
                if hand.row["pts"][0] == hand.track.last_pts:
                    del hands[key]
            frame = {"frame": int(present[0].row["frame"][0]), "pts": round(float(present[0].row["pts"][0]), 6)}
            file.write(encode({**frame, "hands": lines}) + b"\n")
            done += len(present)
            on_progress(done / rows_in_all)
    return [path]


class _OpenXrHand:
    """What does not change along a track: the joints' own axes in those of our bones, and the radii."""

    def __init__(self, track: Track) -> None:
        # As the track's first frame has them: they hardly vary.
        first, mesh = next(
            (rows[rows["valid"]][:1], meshes[rows["valid"]][0])
            for rows, meshes in track.blocks()
            if rows["valid"].any()
        )
        self._axes = _axes_at_rest(_rest_joints(bone_poses(first, track.side).offsets[0]), track.side)
        seen = len(mesh) and np.isfinite(mesh).all()
        self._radii = radii(first["joints"][0], mesh) if seen else _generic_radii()

    def described(self, hand: Present) -> dict[str, Any]:
        """A hand of one frame, to be written."""
        rotations = bone_poses(hand.row, hand.track.side).rotations[0]
        for bone, parent in enumerate(JOINT_PARENTS[1:], 1):
            rotations[bone] = rotations[parent] @ rotations[bone]
        positions = joints_26(hand.row["joints"][0].astype(np.float64) @ R_FILE_CAMERA)
        of_bones = np.array([0 if ours is None else ours for ours in _OURS])
        orientations = to_quaternion(rotations[of_bones] @ self._axes)
        return {
            "id": hand.track.id,
            "side": hand.track.side,
            "score": round(float(hand.row["score"][0]), 3),
            "positions": positions.round(6).tolist(),
            "orientations": orientations.round(6).tolist(),
            "radii": self._radii.round(5).tolist(),
            "flags": FLAGS,
        }


def joints_26(joints: NDArray[np.floating]) -> Array:
    """Our joints (21, 3) -> OpenXR's (26, 3), in any frame; the palm is amid the middle finger's metacarpal."""
    wrist = joints[0]
    found = np.empty((26, 3))
    for number, (name, ours) in enumerate(zip(JOINTS, _OURS, strict=True)):
        if ours is not None:
            found[number] = joints[ours]
        elif name != "PALM":
            found[number] = wrist + METACARPAL * (joints[_KNUCKLES[name.partition("_")[0].lower()]] - wrist)
    found[0] = (found[JOINTS.index("MIDDLE_METACARPAL")] + joints[_KNUCKLES["middle"]]) / 2
    return found


def radii(joints: NDArray[np.floating], vertices: NDArray[np.floating]) -> Array:
    """Distances (26,) m from joints (21, 3) to the skin (V, 3). A tip, which lies on the skin, has its bone's."""
    places = joints_26(joints)
    distances: Array = np.linalg.norm(places[:, None] - vertices, axis=2).min(1)
    for number, name in enumerate(JOINTS):
        if name.endswith("_TIP"):
            distances[number] = distances[number - 1]
    return distances


def _generic_radii() -> Array:
    """Those of the generic hand, for a recording without vertices."""
    model = load_generic_hand()
    return radii(model.rest_joints_21(np.zeros(10)), model.v_template)


def _rest_joints(offsets: Array) -> Array:
    """Joints (21, 3) of the flat hand, from the bones' offsets (21, 3) in their parents' axes; the wrist at 0."""
    joints = np.zeros((21, 3))
    for bone, parent in enumerate(JOINT_PARENTS[1:], 1):
        joints[bone] = joints[parent] + offsets[bone]
    return joints


def _axes_at_rest(joints: Array, side: Side) -> Array:
    """The axes (26, 3, 3), as columns, of OpenXR's joints in a flat hand (21, 3) of this side.

    What is out of the back of a finger is at right angles to the bone and to the axis about which it closes.
    """
    right = joints @ MIRROR if side == "left" else joints
    closing = dict(zip(MODEL_JOINT_NAMES[1:], flexion_axes(right), strict=True))
    across = right[_KNUCKLES["index"]] - right[_KNUCKLES["little"]]
    axes = np.empty((26, 3, 3))
    for number, (name, ours) in enumerate(zip(JOINTS, _OURS, strict=True)):
        finger = name.partition("_")[0].lower()
        if ours is None or ours == 0:  # the palm's own joints lie along their metacarpals
            end = right[_KNUCKLES[finger if finger in FINGERS else "middle"]]
            axes[number] = _axes(end - right[0], across)
        else:
            last = min(ours, _KNUCKLES[finger] + 2)  # a tip goes on as the bone before it
            axes[number] = _axes(right[last + 1] - right[last], closing[JOINT_NAMES[last]])
    if side == "left":
        axes[:, :, 1:] = MIRROR @ axes[:, :, 1:]
        axes[:, :, 0] = np.cross(axes[:, :, 1], axes[:, :, 2])
    return axes


def _axes(along: Array, closing: Array) -> Array:
    """The axes, as columns, of a joint of a right hand whose bone goes this way and closes about this axis."""
    z = -along / np.linalg.norm(along)
    y = np.cross(closing, z)
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, z), y, z], 1)
