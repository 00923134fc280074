"""The five fingers are chains of three joints, each turned by angles within limits.

Everything here is in the *wrist frame*: origin at the wrist, axes those of the model's rest pose, a right hand. A
joint's rotation is R_flexion(a) · R_abduction(b) · R_twist(c) about the three orthogonal axes of
`hamba_core.hand.anatomy`, so limits are boxes in the angles, and a hand within them is one that fingers can make.
Fingers are in joint order (thumb, index, middle, ring, little); leading dimension B counts hands.
"""

from typing import NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import JOINTS_FROM_MODEL, HandModel, hat

FINGER_JOINTS = np.array(JOINTS_FROM_MODEL[1:]).reshape(5, 4)[:, :3]
"""(5, 3): model joint of each finger's each rotation."""

ALL = slice(None)
IDENTITY = np.eye(3)


class PosedFingers(NamedTuple):
    """Bent fingers of B hands, metres, wrist frame."""

    joints: Array  # (B, 5, 3, 3) that the fingers turn about
    landmarks: Array  # (B, 5, 4, 3) where a detector sees the joints and the tip
    axes: Array  # (B, 5, 3, 3, 3): for each joint the three unit axes that its angles turn about, as they are now


class Fingers:
    """Kinematics of a hand model's fingers.

    A detector's landmarks need not be the model's joints: `offsets` (21, 3), metres, lead at rest from each joint to
    its landmark, which moves with the bone that ends there.
    """

    def __init__(self, model: HandModel, offsets: Array) -> None:
        self._offsets = offsets[1:].reshape(5, 4, 3)
        rest = model.rest_joints_21(np.zeros(10))[1:].reshape(5, 4, 3)
        bones = np.diff(rest, axis=1)
        flexion = model.flexion_axes[FINGER_JOINTS - 1]
        twist = _unit(bones - flexion * _dot(bones, flexion))
        self.axes: Array = np.stack([flexion, np.cross(twist, flexion), twist], 2)
        """(5, 3, 3, 3): finger, joint, (flexion, abduction, twist), unit axis in the rest pose."""
        limits = model.joint_limits[FINGER_JOINTS - 1]
        self.least: Array = limits[..., 0]  # (5, 3, 3) radians
        self.most: Array = limits[..., 1]  # (5, 3, 3) radians
        landmark_bones = _unit(bones + np.diff(self._offsets, axis=1))
        self._rest_swing = self._swing(_turn(self.axes, landmark_bones))
        self._middle = (self.least + self.most) / 2
        # Rodrigues' formula about a fixed axis: I + sin(a) K + (1 - cos(a)) K².
        self._cross = hat(self.axes)
        self._cross_squared = self._cross @ self._cross

    def within_limits(self, angles: Array, joints: slice = ALL) -> Array:
        """Return the nearest angles (B, 5, joints, 3) within limits, going round the circle where that is nearer."""
        middle = self._middle[:, joints]
        unwound = middle + np.remainder(angles - middle + np.pi, 2 * np.pi) - np.pi
        limited: Array = np.clip(unwound, self.least[:, joints], self.most[:, joints])
        return limited

    def local_rotations(self, angles: Array, joints: slice = ALL) -> Array:
        """Return the rotation of each joint (B, 5, joints, 3, 3) for angles (B, 5, joints, 3)."""
        parts = self._axis_rotations(angles, joints)
        return parts[..., 0, :, :] @ parts[..., 1, :, :] @ parts[..., 2, :, :]

    def hand_pose(self, angles: Array) -> Array:
        """Return the `hand_pose` (B, 15, 3, 3), model order, for angles (B, 5, 3, 3)."""
        pose = np.empty((len(angles), 15, 3, 3))
        pose[:, FINGER_JOINTS - 1] = self.local_rotations(angles)
        return pose

    def pose(self, angles: Array, roots: Array, bones: Array) -> PosedFingers:
        """Bend the fingers by angles (B, 5, 3, 3).

        `roots` (B, 5, 3) are the first joints, `bones` (B, 5, 3, 3) lead from each joint to the next at rest.
        """
        parts = self._axis_rotations(angles)
        flexion = parts[..., 0, :, :]
        bent = flexion @ parts[..., 1, :, :]
        local = bent @ parts[..., 2, :, :]
        axes = np.empty((*angles.shape, 3))
        axes[..., 0, :] = self.axes[..., 0, :]
        axes[..., 1, :] = (flexion @ self.axes[..., 1, :, None])[..., 0]
        axes[..., 2, :] = (bent @ self.axes[..., 2, :, None])[..., 0]
        seen_bones = bones + self._offsets[:, 1:]
        joints, seen = np.empty((len(angles), 5, 3, 3)), np.empty((len(angles), 5, 4, 3))
        joints[:, :, 0] = roots
        seen[:, :, 0] = roots + self._offsets[:, 0]
        frame = local[:, :, 0]
        for joint in range(3):
            if joint:
                # The rows of `axes` are vectors, so turning them by `frame` is a product with its transpose.
                axes[:, :, joint] = axes[:, :, joint] @ frame.swapaxes(-1, -2)
                joints[:, :, joint] = joints[:, :, joint - 1] + _turn(frame, bones[:, :, joint - 1])
                frame = frame @ local[:, :, joint]
            seen[:, :, joint + 1] = joints[:, :, joint] + _turn(frame, seen_bones[:, :, joint])
        return PosedFingers(joints, seen, axes)

    @staticmethod
    def jacobian(posed: PosedFingers) -> Array:
        """Return the derivative by the angles, (B, 5, 3 landmarks, 3 xyz, 9 = joint x axis).

        It is that of each finger's landmarks after the first, which does not move.
        """
        arms = posed.landmarks[:, :, None, 1:] - posed.joints[:, :, :, None]  # (B, 5, joint, landmark, xyz)
        arms[:, :, 1, 0] = arms[:, :, 2, :2] = 0  # a joint does not move the landmarks before it
        # w x arm = hat(arm)ᵀ w, for the three axes w of a joint at once.
        moved = hat(arms).swapaxes(-1, -2) @ posed.axes[:, :, :, None].swapaxes(-1, -2)
        derivative: Array = moved.transpose(0, 1, 3, 4, 2, 5).reshape(-1, 5, 3, 3, 9)
        return derivative

    def closed_form(self, directions: Array) -> Array:
        """Return angles (B, 5, 3, 3) within limits, twist 0, that swing bones towards `directions` (B, 5, 3 bones, 3).

        Directions are unit vectors from landmark to landmark in the wrist frame. Joints are taken one after the other,
        each in the frame that the one before it really got.
        """
        angles = np.zeros((len(directions), 5, 3, 3))
        frame = np.broadcast_to(np.eye(3), (len(directions), 5, 3, 3))
        for joint in range(3):
            local = _turn(frame.swapaxes(-1, -2), directions[:, :, joint])
            swing = self._swing(_turn(self.axes[:, joint], local))
            angles[:, :, joint, :2] = swing - self._rest_swing[:, joint]
            only = slice(joint, joint + 1)
            angles[:, :, only] = self.within_limits(angles[:, :, only], only)
            frame = frame @ self.local_rotations(angles[:, :, only], only)[:, :, 0]
        return angles

    @staticmethod
    def _swing(along: Array) -> Array:
        """Return flexion and abduction (..., 2) that lead the twist axis to unit vectors (..., 3) on the axes."""
        return np.stack([np.arctan2(-along[..., 1], along[..., 2]), np.arcsin(np.clip(along[..., 0], -1, 1))], -1)

    def _axis_rotations(self, angles: Array, joints: slice = ALL) -> Array:
        """Return a rotation matrix (B, 5, joints, 3, 3, 3) for each single angle (B, 5, joints, 3)."""
        sine, versine = np.sin(angles)[..., None, None], (1 - np.cos(angles))[..., None, None]
        rotations: Array = sine * self._cross[:, joints]
        rotations += versine * self._cross_squared[:, joints]
        rotations += IDENTITY
        return rotations


def _dot(a: Array, b: Array) -> Array:
    result: Array = (a * b).sum(-1, keepdims=True)
    return result


def _unit(vectors: Array) -> Array:
    result: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return result


def _turn(matrices: Array, vectors: Array) -> Array:
    """Turn vectors (..., 3) by matrices (..., 3, 3)."""
    result: Array = (matrices @ vectors[..., None])[..., 0]
    return result
