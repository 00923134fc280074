"""The generic hand's ten shape directions: what a hand's size and proportions differ by.

Each direction is one proportion, so that a beta reads as a measurement. The palm is stretched by a smooth field; each
finger rides on it rigidly at its first joint, and its bones are stretched or thickened along their own lines; the
skinning weights blend the two, as they do for poses. Joints move by the same rules as the skin around them.

A unit is about one standard deviation among adults, as a share of the mean. Finger lengths have 6-8 %, the thumb's more
(Chatzioglou et al., Anatomy & Cell Biology 57, 2024: index 63.9 mm, SD 4.1; middle 70.7, 5.2; ring 65.5, 4.8;
little 53.3, 4.3; thumb 49.5, 5.5; women and men together); a little less is taken here, since size has its part in it.
Hand breadth has 6 % (British men 85 mm, SD 5). Palm length and the thicknesses are set to be as visible as these.
Size alone is wider, 10 %, so that -2..2 spans 152 to 229 mm from wrist to middle fingertip, from a child's hand to
larger than nearly any; adults' means are 176 (women) and 190 mm (men: Ibeachu et al., Asian Journal of Medical
Sciences 3, 2011).
"""

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand.generic_hand import SHAPE_DIRECTIONS
from hamba_core.hand.skeleton import FINGERS, JOINT_NAMES, MODEL_JOINT_NAMES

UNIT = {
    "size": 0.10, "palm_width": 0.06, "palm_length": 0.06, "thumb_length": 0.08, "index_length": 0.06,
    "middle_length": 0.06, "ring_length": 0.06, "little_length": 0.07, "finger_thickness": 0.08, "palm_thickness": 0.09,
}  # fmt: skip
"""Relative change for a beta of 1."""

WRIST_SHARE = 0.4
"""How much of the palm's change of width and thickness the wrist takes part in; it rises to all at the knuckles."""


def shape_directions(points: Array, weights: Array, joints_21: Array) -> Array:
    """Return displacements (N, 3, 10) of points of the rest hand for a unit of each direction.

    `points` (N, 3) are skin or joints, `weights` (N, 16) say how much each belongs to each bone, and `joints_21`
    (21, 3) are the rest joints. The frame is the model's: fingers along -x, back of the hand +y, thumb's side +z.
    """
    return np.stack([_direction(name, points, weights, joints_21) * UNIT[name] for name in SHAPE_DIRECTIONS], -1)


def _direction(name: str, points: Array, weights: Array, joints_21: Array) -> Array:
    if name == "size":
        return np.asarray(points - joints_21[0])
    result = weights[:, :1] * _palm_change(name, points, joints_21)
    for finger in FINGERS:
        first = JOINT_NAMES.index(f"{finger}_1")
        chain = joints_21[first : first + 4]
        base = _palm_change(name, chain[:1], joints_21)[0]
        for i in range(3):
            length = np.linalg.norm(chain[i + 1] - chain[i])
            bone = (chain[i + 1] - chain[i]) / length
            along = (points - chain[i]) @ bone
            moved = np.broadcast_to(base, points.shape)
            if name == f"{finger}_length":
                moved = moved + along[:, None] * bone
                base = base + length * bone
            elif name == "finger_thickness":
                moved = moved + points - chain[i] - along[:, None] * bone
            result = result + weights[:, MODEL_JOINT_NAMES.index(f"{finger}_{i + 1}"), None] * moved
    return result


def _palm_change(name: str, points: Array, joints_21: Array) -> Array:
    """Return the palm's own displacement (N, 3) at points, for a relative change of 1."""
    wrist, knuckles = joints_21[0], joints_21[[5, 9, 13, 17]]
    result = np.zeros_like(points)
    length = wrist[0] - knuckles[:, 0].mean()
    distal = (wrist[0] - points[:, 0]) / length  # 0 at the wrist, 1 at the knuckles
    ramp = np.clip(distal, 0, 1)
    share = WRIST_SHARE + (1 - WRIST_SHARE) * ramp**2 * (3 - 2 * ramp)
    if name == "palm_length":
        # Nothing before the wrist, even beyond; a parabola joins the two without a kink.
        bend = 0.3
        rise = np.where(distal > bend, distal - bend / 2, np.clip(distal, 0, None) ** 2 / (2 * bend))
        result[:, 0] = -length * rise / (1 - bend / 2)
    elif name == "palm_width":
        result[:, 2] = share * (points[:, 2] - wrist[2])
    elif name == "palm_thickness":
        # About the plane of wrist and knuckles, so that joints keep to the middle of what they turn.
        skeleton = np.vstack([wrist, knuckles])
        slope, *_ = np.linalg.lstsq(np.column_stack([skeleton[:, [0, 2]], np.ones(5)]), skeleton[:, 1], rcond=None)
        result[:, 1] = share * (points[:, 1] - np.column_stack([points[:, [0, 2]], np.ones(len(points))]) @ slope)
    return result
