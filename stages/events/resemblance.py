"""How much a hand looks like it does something, from its joints alone: no size, side or camera matters."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import FINGERS, JOINT_NAMES
from stages.packets import EVENT_KINDS, EventKind

_WRIST, _MIDDLE = 0, JOINT_NAMES.index("middle_1")
_KNUCKLES: Final = np.array([JOINT_NAMES.index(f"{finger}_1") for finger in FINGERS])
_TIPS: Final = _KNUCKLES + 3
_THUMB_TIP, _INDEX_TIP = (JOINT_NAMES.index(f"{finger}_4") for finger in ("thumb", "index"))
_INDEX_MIDDLE: Final = JOINT_NAMES.index("index_2")

INVOLVED: Final[Mapping[EventKind, tuple[int, ...]]] = {
    "pinch": (_THUMB_TIP, _THUMB_TIP - 1, _INDEX_TIP, _INDEX_TIP - 1),
    "grab": tuple(_TIPS[1:].tolist()),
    "point": (_INDEX_TIP, _INDEX_TIP - 1, *_TIPS[2:].tolist()),
    "open": tuple(_TIPS.tolist()),
    "thumbs_up": (_THUMB_TIP, _THUMB_TIP - 1, *_TIPS[1:].tolist()),
}
"""The joints that tell, of each kind."""


def strengths(joints: AnyFloats) -> Array:
    """Return how much a hand with these joints (21, 3) m, camera frame, does each of `EVENT_KINDS`: (5,) of 0..1.

    Lengths are in palms, from the wrist to the middle finger's knuckle. `straight` is how far a finger's tip is from
    its knuckle, of the finger's length: 1 for a straight one, 0.4 in a fist.
    """
    palm = max(float(np.linalg.norm(joints[_MIDDLE] - joints[_WRIST])), 1e-6)
    straight = _straightness(joints)
    thumb, index, others = float(straight[0]), float(straight[1]), straight[2:]
    gap = float(np.linalg.norm(joints[_THUMB_TIP] - joints[_INDEX_TIP])) / palm
    clear = float(np.linalg.norm(joints[_THUMB_TIP] - joints[_INDEX_MIDDLE])) / palm
    bent = float(straight[1:].max())
    found: dict[EventKind, float] = {
        "pinch": min(_ramp(gap, 0.50, 0.20), _ramp(index, 0.50, 0.65)),
        "grab": min(_ramp(float(straight[1:].mean()), 0.80, 0.55), _ramp(bent, 0.95, 0.75), _ramp(clear, 0.85, 0.65)),
        "point": min(_ramp(index, 0.80, 0.93), _ramp(float(others.max()), 0.85, 0.60)),
        "open": min(_ramp(float(straight[1:].min()), 0.80, 0.94), _ramp(thumb, 0.80, 0.92), _ramp(gap, 0.45, 0.70)),
        "thumbs_up": min(
            _ramp(thumb, 0.85, 0.95), _ramp(bent, 0.90, 0.65), _ramp(clear, 0.55, 0.75), _ramp(_rise(joints), 0.3, 0.7)
        ),
    }
    return np.array([found[kind] for kind in EVENT_KINDS])


def _straightness(joints: AnyFloats) -> Array:
    bones = np.linalg.norm(joints[_KNUCKLES[:, None] + (1, 2, 3)] - joints[_KNUCKLES[:, None] + (0, 1, 2)], axis=2)
    return np.asarray(np.linalg.norm(joints[_TIPS] - joints[_KNUCKLES], axis=1) / np.maximum(bones.sum(1), 1e-6))


def _rise(joints: AnyFloats) -> float:
    """Return how much the thumb points up in the picture: the cosine of its angle to the picture's upward direction."""
    along = joints[_THUMB_TIP] - joints[_THUMB_TIP - 2]
    return float(-along[1] / max(float(np.linalg.norm(along)), 1e-6))


def _ramp(value: float, none: float, full: float) -> float:
    """Return 0 where the value is at `none` or beyond, 1 at `full` or beyond, and what is between on a line."""
    return min(max((value - none) / (full - none), 0.0), 1.0)
