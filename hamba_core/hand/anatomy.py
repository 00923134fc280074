"""How a hand's joints turn: the axes of flexion, abduction and twist, and the limits of each.

Everything is derived from the rest joints of a flat open right hand, so it holds for any hand model in MANO's
structure. A joint's rotation is read as `R(flexion) @ R(abduction) @ R(twist)` about the axes of `joint_axes`.
Positive flexion closes the finger, positive abduction leads it towards the thumb's side of the hand, positive twist
turns it about its own bone, right-handed. The thumb's positive abduction lifts it out of the palm's plane in front
of the palm, and its twist is negative where its pad turns to face the fingers. Angles are radians relative to the flat
open hand.
"""

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand.skeleton import JOINT_NAMES, MODEL_FINGERS, MODEL_JOINT_NAMES

MODEL_JOINTS_IN_21 = tuple(JOINT_NAMES.index(name) for name in MODEL_JOINT_NAMES)
"""Where each of the 16 model joints stands in the joint order."""

THUMB_PALMAR = 0.6
"""Chosen so that the thumb's axes are within twelve degrees of those that the generic hand was rigged with."""


def _unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector, axis=-1, keepdims=True))


def _bones(rest_joints_21: Array) -> Array:
    """Return unit directions (15, 3) from each finger joint of the model to the next joint or tip."""
    joints = np.array(MODEL_JOINTS_IN_21[1:])
    return _unit(rest_joints_21[joints + 1] - rest_joints_21[joints])


def flexion_axes(rest_joints_21: Array) -> Array:
    """Return unit axes (15, 3), model order without the wrist; a positive rotation about one closes the finger.

    `rest_joints_21` (21, 3) are the joints of a flat open right hand, joint order, any frame. A finger's axis lies
    along the knuckles, at right angles to the bone. The thumb has no such row: it closes across the palm, as its nail
    shows, towards the fingers, the little finger's side and, `THUMB_PALMAR` times as much, away from the palm.
    """
    at = {name: rest_joints_21[i] for i, name in enumerate(JOINT_NAMES)}
    # The knuckle row is an arch: from its index side to its little side the axes turn, so that a fist closes together.
    radial, ulnar = at["index_1"] - at["ring_1"], at["middle_1"] - at["little_1"]
    knuckles = {
        "index": radial,
        "middle": (2 * radial + ulnar) / 3,
        "ring": (radial + 2 * ulnar) / 3,
        "little": ulnar,
    }
    distal = _unit(at["middle_1"] - at["wrist"])
    across = at["index_1"] - at["little_1"]
    thumb_side = _unit(across - (across @ distal) * distal)
    palmar = np.cross(distal, -thumb_side)
    thumb_closes = distal + THUMB_PALMAR * palmar - thumb_side
    axes = np.empty((15, 3))
    for joint, (name, bone) in enumerate(zip(MODEL_JOINT_NAMES[1:], _bones(rest_joints_21), strict=True)):
        finger = name.partition("_")[0]
        axis = np.cross(bone, thumb_closes) if finger == "thumb" else knuckles[finger]
        axes[joint] = _unit(axis - (axis @ bone) * bone)
    return axes


def joint_axes(rest_joints_21: Array) -> Array:
    """Return the axes (15, 3, 3) of flexion, abduction and twist as rows, right-handed and at right angles."""
    flexion, twist = flexion_axes(rest_joints_21), _bones(rest_joints_21)
    return np.stack([flexion, np.cross(twist, flexion), twist], 1)


def thumb_before_palm(rest_joints_21: Array) -> float:
    """Return how far the thumb stands before the palm of a right hand (21, 3), in lengths of the palm, in any frame.

    For a left hand it is negative: read as a right hand's, its joints put the palm where its back is.
    """
    at = {name: rest_joints_21[i] for i, name in enumerate(JOINT_NAMES)}
    palm = at["middle_1"] - at["wrist"]
    palmar = _unit(np.cross(at["index_1"] - at["little_1"], palm))
    thumb = (at["thumb_3"] + at["thumb_4"]) / 2 - at["wrist"]
    return float(thumb @ palmar / np.linalg.norm(palm))


def default_joint_limits() -> Array:
    """Return limits (15, 3, 2) radians: (flexion, abduction, twist) x (least, most), model order without the wrist."""
    finger = [
        [(-0.35, 1.57), (-0.35, 0.35), (-0.10, 0.10)],  # MCP
        [(0.00, 1.90), (-0.05, 0.05), (-0.05, 0.05)],  # PIP
        [(-0.10, 1.40), (-0.05, 0.05), (-0.05, 0.05)],  # DIP
    ]
    thumb = [
        [(-0.45, 0.90), (-0.40, 0.80), (-0.60, 0.30)],  # CMC, a saddle: opposition twists it
        [(-0.20, 1.10), (-0.20, 0.20), (-0.15, 0.15)],  # MCP
        [(-0.30, 1.40), (-0.05, 0.05), (-0.05, 0.05)],  # IP
    ]
    return np.array([limits for name in MODEL_FINGERS for limits in (thumb if name == "thumb" else finger)])
