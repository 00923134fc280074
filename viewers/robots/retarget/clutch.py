"""A clutch decides when a robot follows: by a key, or by a gesture that is held.

The gesture: the thumb touches the little finger while index and middle finger are straight, for half a second. Nobody
grasps or points like that. It lets go of the robot, and the same again takes it up.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES

ClutchKind = Literal["none", "key", "gesture"]
CLUTCHES: Final[tuple[ClutchKind, ...]] = ("none", "key", "gesture")

HOLD_SECONDS: Final = 0.5
"""How long the gesture is held before it counts."""
_TOUCHES, _APART = 0.35, 0.6  # of the length of the palm, between thumb and little finger
_STRAIGHT: Final = 0.85  # of a finger's own length, from its knuckle to its tip
_THUMB, _LITTLE = JOINT_NAMES.index("thumb_4"), JOINT_NAMES.index("little_4")
_INDEX, _MIDDLE = JOINT_NAMES.index("index_1"), JOINT_NAMES.index("middle_1")


@dataclass
class Clutch:
    """Whether one hand's robot follows it. With `key`, it does not before somebody asks."""

    kind: ClutchKind = "none"
    engaged: bool = True
    _since: float | None = None  # s, of the gesture
    _done: bool = False  # what is held has counted

    def __post_init__(self) -> None:
        if self.kind == "key":
            self.engaged = False

    def toggle(self) -> None:
        """Let go of the robot, or take it up."""
        self.engaged = not self.engaged

    def see(self, joints: Array | None, now: float) -> bool:
        """Take the hand's joints (21, 3), or None if it is unseen, at `now` s, and return whether its robot follows."""
        if self.kind != "gesture":
            return self.engaged
        if joints is None:
            self._since = None  # what is not seen to be held is not held
            return self.engaged
        apart = thumb_to_little(joints)
        if apart > _APART:
            self._since, self._done = None, False
        elif apart < _TOUCHES and min(straightness(joints, _INDEX), straightness(joints, _MIDDLE)) > _STRAIGHT:
            self._since = now if self._since is None else self._since
            if not self._done and now - self._since >= HOLD_SECONDS:
                self._done = True
                self.toggle()
        else:
            self._since = None
        return self.engaged


def thumb_to_little(joints: Array) -> float:
    """Return the distance between the tips of thumb and little finger, in lengths of the palm."""
    palm = max(float(np.linalg.norm(joints[_MIDDLE] - joints[0])), 1e-6)
    return float(np.linalg.norm(joints[_THUMB] - joints[_LITTLE])) / palm


def straightness(joints: Array, knuckle: int) -> float:
    """Return how straight a finger is: 1 where its tip is as far from its knuckle, a joint, as its bones reach."""
    bones = joints[knuckle : knuckle + 4]
    length = max(float(np.linalg.norm(np.diff(bones, axis=0), axis=1).sum()), 1e-6)
    return float(np.linalg.norm(bones[3] - bones[0])) / length
