"""A hand as bones, in plain NumPy: at rest the flat open hand, and what each bone is turned by.

21 joints: wrist, then four of thumb, index, middle, ring and little finger. 20 bones, each named for the joint that it
begins at and ending at the next; `wrist` reaches to the middle finger's knuckle. Axes are the hand model's at rest.
"""

from typing import Any

import numpy as np

FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINTS = ("wrist", *(f"{finger}_{number}" for finger in FINGERS for number in range(1, 5)))
PARENTS = (-1, *(0 if number == 0 else 4 * finger + number for finger in range(5) for number in range(4)))
MODEL_OF_JOINT = (0, 13, 14, 15, None, 1, 2, 3, None, 4, 5, 6, None, 10, 11, 12, None, 7, 8, 9, None)
"""Which of the hand model's 16 rotations each joint turns by; None for tips."""

BONES = tuple(joint for joint in range(21) if MODEL_OF_JOINT[joint] is not None)
"""Joints at which a bone begins."""

R_BLENDER_CAMERA = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
"""From the camera's frame (x right, y down, z forward) to Blender's (z up): the camera looks along y."""

_MIRROR = np.diag([-1.0, 1.0, 1.0])


def bone_end(joint: int) -> int:
    """Return the joint at which the bone that begins at this one ends."""
    return 9 if joint == 0 else joint + 1


def own_rotations(global_orient: Any, hand_pose: Any, side: str) -> Any:
    """Return rotations (N, 21, 3, 3) of joints against their parents; a left hand's are those of the real hand."""
    model = np.concatenate([np.asarray(global_orient, float)[:, None], np.asarray(hand_pose, float)], 1)
    if side == "left":
        model = _MIRROR @ model @ _MIRROR  # parameters of a left hand are those of the mirrored right one
    rotations = np.broadcast_to(np.eye(3), (len(model), 21, 3, 3)).copy()
    for joint, number in enumerate(MODEL_OF_JOINT):
        if number is not None:
            rotations[:, joint] = model[:, number]
    return rotations


def rest_joints(rotations: Any, joints: Any) -> Any:
    """Return the joints (21, 3) m of the flat open hand, the wrist at the origin: bones of their mean length."""
    world, offsets = np.asarray(rotations, float).copy(), np.zeros((21, 3))
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            world[:, joint] = world[:, parent] @ world[:, joint]
            offsets[joint] = np.einsum("ni,nij->nj", joints[:, joint] - joints[:, parent], world[:, parent]).mean(0)
    rest = np.zeros((21, 3))
    for joint, parent in enumerate(PARENTS):
        if parent >= 0:
            rest[joint] = rest[parent] + offsets[joint]
    return rest


def matrix_of(quaternion: Any) -> Any:
    """Return rotation matrices (..., 3, 3) of quaternions (..., 4), x, y, z, w."""
    x, y, z, w = np.moveaxis(np.asarray(quaternion, float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)
