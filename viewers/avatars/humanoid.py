"""A hand in the bones of a humanoid avatar, as Unity and VRM have them: local rotations relative to the T-pose.

Unity's axes are left-handed: x right, y up, z forward, and the avatar looks along z. In the T-pose the arms go to both
sides, palms down, thumbs forward, and every bone's own axes are the world's: then a bone's local rotation is what it
is turned by, against its parent, from the flat open hand.
"""

from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import FINGERS, JOINT_NAMES, JOINT_PARENTS, Side, to_quaternion
from stages.common.openxr_joints import rotations_21
from stages.packets import Hand

PARTS: Final = ("Proximal", "Intermediate", "Distal")
"""Unity's names of a finger's bones, from the knuckle on; of the thumb, from its metacarpal on."""

_M: Final = {
    # Columns: where the palm's x (out of the palm), y and z (along the fingers) go in the T-pose.
    "right": np.array([[0.0, 0, 1], [-1, 0, 0], [0, 1, 0]]),
    "left": np.array([[0.0, 0, -1], [-1, 0, 0], [0, -1, 0]]),
}
_INDEX, _MIDDLE, _RING = (JOINT_NAMES.index(f"{finger}_1") for finger in ("index", "middle", "ring"))


class Bone(NamedTuple):
    """A bone of a humanoid, relative to its parent."""

    name: str  # as UnityEngine.HumanBodyBones
    position: Array  # (3,) m
    rotation: Array  # (4,) quaternion x, y, z, w


class Tracker(NamedTuple):
    """Where a wrist is, in Unity's world, and how it is turned against the T-pose."""

    position: Array  # (3,) m
    rotation: Array  # (4,) quaternion x, y, z, w


def finger_bones(hand: Hand) -> list[Bone]:
    """Return the 15 finger bones of a hand, each relative to the one before, those of the palm to the hand's bone."""
    rotations, joints = rotations_21(hand), hand.joints.astype(np.float64)
    to_unity = _M[hand.side] @ _palm_axes(joints, hand.side).T @ rotations[0]  # from the hand model's axes at rest
    bones = []
    for finger in FINGERS:
        for number, part in enumerate(PARTS, 1):
            joint = JOINT_NAMES.index(f"{finger}_{number}")
            parent = JOINT_PARENTS[joint]
            turned = rotations[parent].T @ rotations[joint]
            place = rotations[parent].T @ (joints[joint] - joints[parent])
            name = f"{hand.side.capitalize()}{finger.capitalize()}{part}"
            bones.append(Bone(name, to_unity @ place, to_quaternion(to_unity @ turned @ to_unity.T)))
    return bones


def wrist_tracker(hand: Hand, camera: Array) -> Tracker:
    """Return where the wrist is, of a person who looks at a camera that is at `camera` (3,) m in Unity's world."""
    joints = hand.joints.astype(np.float64)
    # Who looks at the camera has the picture's left to the right, and the camera's depth behind.
    turned = -_palm_axes(joints, hand.side) @ _M[hand.side].T
    return Tracker(camera - joints[0], to_quaternion(turned))


def _palm_axes(joints: Array, side: Side) -> Array:
    """Return the palm's axes (3, 3) as columns: x out of it, z along the middle metacarpal."""
    z = joints[_MIDDLE] - joints[0]
    z = z / max(float(np.linalg.norm(z)), 1e-9)
    across = (joints[_INDEX] - joints[_RING]) * (1 if side == "right" else -1)
    x = np.cross(across, z)
    x /= max(float(np.linalg.norm(x)), 1e-9)
    return np.stack([x, np.cross(z, x), z], 1)


def curls(hand: Hand) -> dict[str, float]:
    """Return how far each finger is bent: 0 straight, 1 as in a fist."""
    found = {}
    for finger in FINGERS:
        knuckle = JOINT_NAMES.index(f"{finger}_1")
        bones = hand.joints[knuckle : knuckle + 4].astype(np.float64)
        length = max(float(np.linalg.norm(np.diff(bones, axis=0), axis=1).sum()), 1e-6)
        straight = float(np.linalg.norm(bones[3] - bones[0])) / length
        fist = 0.7 if finger == "thumb" else 0.4  # how near a fist's fingertip is to its knuckle, of its length
        found[finger] = min(1.0, max(0.0, (1.0 - straight) / (1.0 - fist)))
    return found
