"""A hand's flesh as balls along its bones, and what they hide of points behind them.

Balls stand for the mesh, which is not posed yet where this is asked, and would cost more than the answer is worth.
"""

from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import JOINT_PARENTS

_PALM: Final = 0.0917
"""Metres from the wrist to the middle finger's knuckle of the hand that the numbers below are of."""
_RADII: Final = np.array([0.019, 0.016, 0.012, 0.010, 0.008, *[0.013, 0.0095, 0.0085, 0.0065] * 4])
"""Metres of flesh around each joint (21,)."""
_BEFORE: Final = np.array([0.034, 0.029, 0.021, 0.017, 0.015, *[0.023, 0.016, 0.015, 0.014] * 4])
"""Metres of its own flesh (21,) that may lie between a joint and the camera: it counts as seen then."""

_BONES: Final = np.array([(p, j) for j, p in enumerate(JOINT_PARENTS) if p >= 0] + [(5, 9), (9, 13), (13, 17), (1, 5)])
"""Pairs of joints with flesh between them (B, 2): bones, and what joins the knuckles."""
_SHARES: Final = np.linspace(0, 1, 5)
"""Where balls lie along a bone."""
_OF_EACH: Final = (1 - _SHARES) * _RADII[_BONES[:, :1]] + _SHARES * _RADII[_BONES[:, 1:]]  # (B, 5) m

LIMIT: Final = 1.5
"""What a cover is cut to, on either side of 0."""


def size_of(joints: AnyFloats) -> float:
    """Return how large a hand with these joints (21, 3) m is, 1 for a middling one."""
    return max(float(np.linalg.norm(joints[9] - joints[0])) / _PALM, 0.1)


def covers(joints: Array) -> Array:
    """Return by how much hands hide each other's joints and their own, (N, 21, 2), of joints (N, 21, 3) m.

    The first number is of the joint's own hand, the second of the others: above 0 a ball of flesh is before the joint,
    1 deep before it; below 0 the nearest ball misses it, by so many of its radii. Both are cut to ±`LIMIT`.
    """
    found = np.full((len(joints), 21, 2), -LIMIT)
    sizes = [size_of(hand) for hand in joints]
    balls = [_balls(hand, size) for hand, size in zip(joints, sizes, strict=True)]
    for i, hand in enumerate(joints):
        distance = np.linalg.norm(hand, axis=1)
        rays = hand / distance[:, None]
        for k, (centres, radii) in enumerate(balls):
            if k != i and _are_apart(hand, joints[k], radii):
                continue
            allowed = sizes[i] * _BEFORE if k == i else 0.5 * sizes[i] * _BEFORE
            cover = _cover(rays, distance - allowed, centres, radii)
            which = 0 if k == i else 1
            found[i, :, which] = np.maximum(found[i, :, which], cover)
    return np.asarray(np.clip(found, -LIMIT, LIMIT))


def _are_apart(one: Array, other: Array, radii: Array) -> bool:
    """Return whether no ball of the other hand can be near the line to a joint of the one; most pairs are far apart."""
    if min(float(one[:, 2].min()), float(other[:, 2].min())) <= 0:
        return False
    seen, others = one[:, :2] / one[:, 2:], other[:, :2] / other[:, 2:]
    gaps = np.maximum(seen.min(0) - others.max(0), others.min(0) - seen.max(0))
    # A line and a point at distance z whose tangents differ by t are apart by more than t z / (1 + t^2 of the line).
    slant = 1 + float((seen**2).sum(1).max())
    reach = (1 + LIMIT / 2) * float(radii.max())
    return float(gaps.max()) * float(other[:, 2].min()) > reach * slant


def _balls(hand: Array, size: float) -> tuple[Array, Array]:
    """Return the middles (M, 3) m and radii (M,) m of a hand's balls."""
    a, b = hand[_BONES[:, 0], None], hand[_BONES[:, 1], None]
    return np.asarray((a + _SHARES[:, None] * (b - a)).reshape(-1, 3)), size * _OF_EACH.ravel()


def _cover(rays: Array, distance: Array, centres: Array, radii: Array) -> Array:
    """Return the deepest cover (J,) of points at a distance (J,) m along rays (J, 3) from the camera."""
    along = rays @ centres.T
    off_2 = np.maximum((centres**2).sum(1) - along**2, 0)
    inside = 2 * (1 - np.sqrt(off_2) / radii)
    front = along - np.sqrt(np.maximum(radii**2 - off_2, 0))
    before = (distance[:, None] - front) / radii
    return np.asarray(np.minimum(inside, before).max(1))
