"""How near two hands are to each other in a picture, in units of their own size."""

from math import hypot

import numpy as np
from numpy.typing import NDArray

PALM = (0, 5, 9, 13, 17)
"""Wrist and knuckles, in joint order: the part of a hand that keeps its shape."""


def hand_size(joints_2d: NDArray[np.floating]) -> float:
    """Return the size of a hand in the picture, px, from its joints (21, 2): the diagonal of their box, at least 1."""
    # Python's numbers: for so few of them NumPy is slower.
    (left, top), (right, bottom) = joints_2d.min(0).tolist(), joints_2d.max(0).tolist()
    return max(hypot(right - left, bottom - top), 1.0)


def joint_distance(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return the mean distance between the same joints (21, 2) of two hands, as a share of the larger hand's size."""
    apart = first - second
    mean = float(np.hypot(apart[:, 0], apart[:, 1]).mean())
    return mean / max(hand_size(first), hand_size(second))


def box_overlap(first: NDArray[np.floating], second: NDArray[np.floating]) -> float:
    """Return intersection over union of two boxes (4,), 0 to 1; 0 where both are empty."""
    # Python's numbers: for so few of them NumPy is slower.
    (left, top, right, bottom), (other_left, other_top, other_right, other_bottom) = first.tolist(), second.tolist()
    wide = max(min(right, other_right) - max(left, other_left), 0.0)
    high = max(min(bottom, other_bottom) - max(top, other_top), 0.0)
    shared = wide * high
    areas = (right - left) * (bottom - top) + (other_right - other_left) * (other_bottom - other_top)
    union = areas - shared
    return float(shared / union) if union > 0 else 0.0


def tight_box(joints_2d: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the smallest box (4,) around joints (21, 2): left, top, right, bottom, px."""
    return np.concatenate([joints_2d.min(0), joints_2d.max(0)])
