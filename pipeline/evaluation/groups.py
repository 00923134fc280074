"""Groups tell in what situation a hand is, and so why an estimator is good or bad."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import FINGERS, JOINT_NAMES
from pipeline.evaluation.scenes import View
from stages.common.proximity import box_overlap, hand_size, tight_box
from stages.synthetic import HandTruth

GROUPS: Final = (
    "all", "open", "fist", "pinch", "crossing", "fast", "at rest", "small", "dark", "cut by the border",
    "palm", "back of the hand", "edge-on", "left", "right",
)  # fmt: skip

_OPEN: Final = np.radians(45)  # most that any finger is bent
_FIST: Final = np.radians(110)  # least that the fingers are bent on average
_PINCH: Final = 0.025  # m between the tips of thumb and index finger
_FAST, _REST = 0.4, 0.06  # m/s, mean over joints
_SMALL: Final = 0.15  # of the picture's diagonal
_FACING: Final = 0.5  # cosine between the palm's normal and the direction to the camera
_EDGE_ON: Final = 0.3
_LEAST_IN_VIEW: Final = 0.1

_TIPS = [JOINT_NAMES.index(f"{finger}_4") for finger in FINGERS]
_LASTS, _KNUCKLES = [tip - 1 for tip in _TIPS[1:]], [tip - 3 for tip in _TIPS[1:]]
_INDEX_KNUCKLE, _LITTLE_KNUCKLE = _KNUCKLES[0], _KNUCKLES[-1]


def groups_of(
    hand: HandTruth, others: Sequence[HandTruth], view: View, size: tuple[int, int], speed: float
) -> frozenset[str]:
    """Return a hand's groups in a picture of (width, height), with the other hands, at `speed` m/s (joints' mean)."""
    groups = {"all", hand.side}
    bend = finger_bends(hand.joints)
    tips_apart = float(np.linalg.norm(hand.joints[_TIPS[0]] - hand.joints[_TIPS[1]]))
    if bend.max() < _OPEN:
        groups.add("open")
    if bend.mean() > _FIST:
        groups.add("fist")
    elif tips_apart < _PINCH:
        groups.add("pinch")
    facing = palm_facing(hand)
    if facing > _FACING:
        groups.add("palm")
    elif facing < -_FACING:
        groups.add("back of the hand")
    elif abs(facing) < _EDGE_ON:
        groups.add("edge-on")
    if speed > _FAST:
        groups.add("fast")
    elif speed < _REST:
        groups.add("at rest")
    box = tight_box(hand.joints_2d)
    if any(box_overlap(box, tight_box(other.joints_2d)) > 0.02 and _in_view(other) for other in others):
        groups.add("crossing")
    if hand_size(hand.joints_2d) < _SMALL * np.hypot(*size):
        groups.add("small")
    if view == "dark":
        groups.add("dark")
    if not ((hand.joints_2d >= 0) & (hand.joints_2d < size)).all():
        groups.add("cut by the border")
    return frozenset(groups)


def finger_bends(joints: Array) -> Array:
    """Return how far (4,) each finger but the thumb is bent: radians between the palm's bone and the last one."""
    palm, last = joints[_KNUCKLES] - joints[0], joints[_TIPS[1:]] - joints[_LASTS]
    cosine = (palm * last).sum(1) / (np.linalg.norm(palm, axis=1) * np.linalg.norm(last, axis=1))
    bends: Array = np.arccos(np.clip(cosine, -1, 1))
    return bends


def palm_facing(hand: HandTruth) -> float:
    """Return the cosine between the palm's normal and the direction to the camera: 1 shows the palm, -1 the back."""
    across = hand.joints[_INDEX_KNUCKLE] - hand.joints[_LITTLE_KNUCKLE]
    along = hand.joints[_KNUCKLES[1]] - hand.joints[0]
    normal = np.cross(across, along) * (1 if hand.side == "right" else -1)
    to_camera = -hand.joints[0]
    return float(normal @ to_camera / (np.linalg.norm(normal) * np.linalg.norm(to_camera)))


def _in_view(hand: HandTruth) -> bool:
    return hand.visibility >= _LEAST_IN_VIEW
