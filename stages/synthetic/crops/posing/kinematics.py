"""Joint angles to joint positions, many poses at once, and when fingers run into one another.

Positions are in palm coordinates: metres from the wrist towards the thumb's side, towards the fingers and out of the
palm of a right hand. Angles are (flexion, abduction, twist) about the axes of the hand's anatomy, model order.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hamba_core.hand import FINGERS, MODEL_FINGERS, HandModel, joint_axes
from stages.synthetic.motion import palm_basis

Array = NDArray[np.float64]

SEGMENT_RADII = {"thumb": (0.0105, 0.0095, 0.0085), "finger": (0.0085, 0.0075, 0.0070)}
"""Metres, of a middling hand; `finger_points` narrows the last segment towards the tip."""
PALM_RADIUS = 0.0105
SOFTNESS = 0.80
"""Share of its radius that flesh keeps where it is pressed."""
ALONG_SEGMENT = (0.15, 0.5, 0.85)


class Kinematics:
    """One hand shape's joints."""

    def __init__(self, model: HandModel, betas: Array) -> None:
        rest = model.rest_joints_21(betas)
        self.R_rest_palm = palm_basis(rest)
        """(3, 3): columns are the palm's axes in the model's rest frame."""
        self._axes = _axes(model)
        palm = (rest - rest[0]) @ self.R_rest_palm
        order = [FINGERS.index(finger) for finger in MODEL_FINGERS]
        chains = palm[1:].reshape(5, 4, 3)[order]  # (5, 4, 3) in the model's order of fingers
        self._order = order
        self._roots = chains[:, 0]
        self._bones = np.diff(chains, axis=1)  # (5, 3, 3)
        self.thickness = float(np.clip(1 + 0.04 * betas[8] + 0.03 * betas[0], 0.8, 1.25))
        """How thick the fingers are, relative to a middling hand."""

    def hand_pose(self, angles: Array) -> Array:
        """Return rotations (..., 15, 3, 3) of the model for angles (..., 15, 3)."""
        turns = _rotations(self._axes, angles)
        return np.asarray(turns[..., 0, :, :] @ turns[..., 1, :, :] @ turns[..., 2, :, :])

    def joints(self, angles: Array) -> Array:
        """Return joints (K, 21, 3), joint order, palm coordinates, for angles (K, 15, 3)."""
        local = self.hand_pose(angles)
        local = self.R_rest_palm.T @ local @ self.R_rest_palm
        local = local.reshape(-1, 5, 3, 3, 3)
        points = np.zeros((len(local), 21, 3))
        turned = np.broadcast_to(np.eye(3), (len(local), 5, 3, 3))
        at = np.broadcast_to(self._roots, (len(local), 5, 3))
        places = [at]
        for i in range(3):
            turned = turned @ local[:, :, i]
            at = at + (turned @ self._bones[:, i, :, None])[..., 0]
            places.append(at)
        chains = np.stack(places, 2)  # (K, 5, 4, 3)
        fingers = points[:, 1:].reshape(-1, 5, 4, 3)
        fingers[:, self._order] = chains
        points[:, 1:] = fingers.reshape(-1, 20, 3)
        return points

    def depth_of_collision(self, angles: Array) -> Array:
        """Return how deep (K,), metres, fingers run into one another or the palm, softness allowed for."""
        everything, limits = solid_points(self.joints(angles), self.thickness)
        squares = (everything**2).sum(2)
        apart = squares[:, :, None] + squares[:, None] - 2 * everything @ everything.transpose(0, 2, 1)
        reach = SOFTNESS * (limits[:, None] + limits[None])
        inside = reach - np.sqrt(np.maximum(apart, 0))
        return np.asarray(np.where(_CHECKED, inside, -np.inf).max((1, 2)))

    def without_collision(self, angles: Array, calm: Array, allowed: float = 0.0015) -> Array:
        """Return the angles (15, 3), led towards calm ones only as far as it takes for nothing to collide."""
        shares = np.array([0, 0.08, 0.16, 0.25, 0.35, 0.5, 0.65, 0.8, 1.0])[:, None, None]
        tried = (1 - shares) * angles + shares * calm
        free = self.depth_of_collision(tried) <= allowed
        return np.asarray(tried[int(np.argmax(free)) if free.any() else -1])


@lru_cache(maxsize=4)
def _axes(model: HandModel) -> Array:
    return joint_axes(model.rest_joints_21(np.zeros(10)))


def _rotations(axes: Array, angles: Array) -> Array:
    """Rodrigues' formula: unit axes (15, 3, 3) and angles (..., 15, 3) to matrices (..., 15, 3, 3, 3)."""
    x, y, z = np.moveaxis(axes, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).reshape(*x.shape, 3, 3)
    sine, cosine = np.sin(angles)[..., None, None], np.cos(angles)[..., None, None]
    return np.asarray(np.eye(3) + sine * cross + (1 - cosine) * (cross @ cross))


def finger_points(joints: Array, thickness: float = 1.0) -> tuple[Array, Array]:
    """Return points (K, 45, 3) along the fingers, nine each from the palm outwards, and their radii (45,), metres."""
    chains = joints[:, 1:].reshape(-1, 5, 4, 3).copy()
    tip = chains[:, :, 3] - chains[:, :, 2]
    chains[:, :, 3] -= 0.004 * tip / np.linalg.norm(tip, axis=-1, keepdims=True)  # the tips lie on the skin
    share = np.array(ALONG_SEGMENT)[:, None]
    points = chains[:, :, :3, None] * (1 - share) + chains[:, :, 1:, None] * share
    narrowing = np.array([1, 1, 1, 1, 1, 1, 1, 0.95, 0.8])
    radii = np.stack([np.repeat(SEGMENT_RADII["thumb" if f == "thumb" else "finger"], 3) * narrowing for f in FINGERS])
    return points.reshape(len(joints), 45, 3), radii.ravel() * thickness


def solid_points(joints: Array, thickness: float = 1.0) -> tuple[Array, Array]:
    """Return points (K, 61, 3) along fingers and palm, the fingers' first, and their radii (61,), metres."""
    points, radii = finger_points(joints, thickness)
    palm = _palm_points(joints)
    return np.concatenate([points, palm], 1), np.concatenate([radii, np.full(palm.shape[1], PALM_RADIUS)])


def _palm_points(joints: Array) -> Array:
    """Return points (K, 16, 3) along the four metacarpals."""
    share = np.array([0.3, 0.5, 0.7, 0.88])[:, None]
    knuckles = joints[:, [5, 9, 13, 17], None]
    return np.asarray((share * knuckles).reshape(len(joints), 16, 3))


def _checked() -> NDArray[np.bool_]:
    """Which pairs (61, 61) of points may not run into one another."""
    finger = np.repeat(np.arange(5), 9)
    segment = np.tile(np.repeat(np.arange(3), 3), 5)
    checked = np.zeros((61, 61), bool)
    pairs = finger[:, None] != finger[None]
    next_to = (np.abs(finger[:, None] - finger[None]) == 1) & (finger[:, None] > 0) & (finger[None] > 0)
    pairs &= ~(next_to & ((segment[:, None] == 0) & (segment[None] == 0)))  # fingers touch where they grow
    metacarpal = (finger == 0) & (segment == 0)
    pairs[metacarpal] = False
    pairs[:, metacarpal] = False
    checked[:45, :45] = pairs
    checked[:45, 45:] = (segment >= 1)[:, None]
    return checked


_CHECKED = _checked()
