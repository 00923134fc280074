"""OpenXR's 26 joints of a hand (XR_EXT_hand_tracking, WebXR), out of our 21: where they are and how they are turned.

A joint's own axes are the extension's: -z along the bone to its tip, y out of the back of the hand, x to the right of
both. In which frame they are is the caller's: whatever frame the given places and rotations are in.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import (
    FINGERS,
    JOINT_NAMES,
    JOINT_PARENTS,
    JOINTS_FROM_MODEL,
    MODEL_JOINT_NAMES,
    Side,
    flexion_axes,
    load_generic_hand,
    mirrored_points,
    mirrored_rotations,
)
from stages.packets import Hand

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

_SHORTEST, _LONGEST = 1e-4, 10.0
"""Metres, of bones."""

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

OURS_IN_26: Final = [_OURS.index(joint) for joint in range(21)]
"""Where each of our joints is among OpenXR's."""

FLAGS: Final = tuple(VALID if ours is None else VALID | TRACKED for ours in _OURS)


def has_bones(hand: Hand) -> bool:
    """Return whether bones have lengths and the palm is a plane, so that joints have axes: a publisher may lie."""
    joints = hand.joints.astype(np.float64)
    lengths = np.linalg.norm(joints[1:] - joints[list(JOINT_PARENTS[1:])], axis=1)
    along, across = joints[_KNUCKLES["middle"]] - joints[0], joints[_KNUCKLES["index"]] - joints[_KNUCKLES["ring"]]
    area = float(np.linalg.norm(np.cross(along, across)))
    return bool(lengths.min() > _SHORTEST and lengths.max() < _LONGEST and area > _SHORTEST**2)


def rotations_21(hand: Hand) -> Array:
    """Return how the bones of our joints are turned, (21, 3, 3) in the camera frame; tips as the bones before them."""
    own = np.concatenate([hand.global_orient[None], hand.hand_pose, np.broadcast_to(np.eye(3), (5, 3, 3))])
    rotations = mirrored_rotations(own.astype(np.float64)[list(JOINTS_FROM_MODEL)], hand.side)
    for bone, parent in enumerate(JOINT_PARENTS[1:], 1):
        rotations[bone] = rotations[parent] @ rotations[bone]
    return rotations


def poses_26(hand: Hand) -> tuple[Array, Array]:
    """Return places (26, 3) m and rotations (26, 3, 3) of OpenXR's joints in the camera frame."""
    rotations, joints = rotations_21(hand), hand.joints.astype(np.float64)
    offsets = np.zeros((21, 3))
    for bone, parent in enumerate(JOINT_PARENTS[1:], 1):
        offsets[bone] = (joints[bone] - joints[parent]) @ rotations[parent]
    turned = turned_26(rotations[None], offsets[None], closing_axes(offsets, hand.side))
    return joints_26(joints), turned[0]


def turned_26(rotations: Array, offsets: Array, closing: Array) -> Array:
    """Return rotations (N, 26, 3, 3) of OpenXR's joints.

    `rotations` (N, 21, 3, 3) are those of our bones, `offsets` (N, 21, 3) m those of joints from their parents, in the
    parents' axes, and `closing` what `closing_axes` gives.
    """
    turned: Array = rotations[:, _TURNED_WITH] @ _axes(_along(offsets), closing)
    return turned


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


def generic_radii() -> Array:
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


def closing_axes(offsets: Array, side: Side) -> Array:
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
