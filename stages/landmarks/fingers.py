"""The five fingers as chains of three joints, each turned by angles within limits.

Everything here is in the *wrist frame*: origin at the wrist, axes those of the model's rest pose, a right hand. A
joint's rotation is R_flexion(a) · R_abduction(b) · R_twist(c) about the three orthogonal axes of
`hamba_core.anatomy`, so limits are boxes in the angles, and a hand within them is one that fingers can make.
Fingers are in joint order (thumb, index, middle, ring, little); leading dimension B counts hands.
"""

import numpy as np
from numpy.typing import NDArray

from hamba_core.hand_model import HandModel
from hamba_core.rotations import hat
from hamba_core.skeleton import JOINTS_FROM_MODEL

Array = NDArray[np.float64]

FINGER_JOINTS = np.array(JOINTS_FROM_MODEL[1:]).reshape(5, 4)[:, :3]
"""(5, 3): model joint of each finger's each rotation."""


class Fingers:
    """Kinematics of a hand model's fingers."""

    def __init__(self, model: HandModel) -> None:
        rest = model.rest_joints_21(np.zeros(10))[1:].reshape(5, 4, 3)
        bones = np.diff(rest, axis=1)
        flexion = model.flexion_axes[FINGER_JOINTS - 1]
        twist = _unit(bones - flexion * _dot(bones, flexion))
        self.axes: Array = np.stack([flexion, np.cross(twist, flexion), twist], 2)
        """(5, 3, 3, 3): finger, joint, (flexion, abduction, twist), unit axis in the rest pose."""
        limits = model.joint_limits[FINGER_JOINTS - 1]
        self.least: Array = limits[..., 0]  # (5, 3, 3) radians
        self.most: Array = limits[..., 1]  # (5, 3, 3) radians
        self._middle = (self.least + self.most) / 2
        # Rodrigues' formula about a fixed axis: I + sin(a) K + (1 - cos(a)) K².
        self._cross = hat(self.axes)
        self._cross_squared = self._cross @ self._cross

    def within_limits(self, angles: Array) -> Array:
        """The nearest angles (B, 5, 3, 3) that the limits allow, going round the circle where that is nearer."""
        unwound = self._middle + np.remainder(angles - self._middle + np.pi, 2 * np.pi) - np.pi
        limited: Array = np.clip(unwound, self.least, self.most)
        return limited

    def local_rotations(self, angles: Array) -> Array:
        """Angles (B, 5, 3, 3) -> rotation of each joint (B, 5, 3, 3, 3)."""
        parts = self._axis_rotations(angles)
        return parts[..., 0, :, :] @ parts[..., 1, :, :] @ parts[..., 2, :, :]

    def hand_pose(self, angles: Array) -> Array:
        """Angles (B, 5, 3, 3) -> `hand_pose` (B, 15, 3, 3), model order."""
        pose = np.empty((len(angles), 15, 3, 3))
        pose[:, FINGER_JOINTS - 1] = self.local_rotations(angles)
        return pose

    def pose(self, angles: Array, roots: Array, bones: Array) -> tuple[Array, Array]:
        """Points (B, 5, 4, 3), metres, of bent fingers, and the unit axes (B, 5, 3, 3, 3) their angles turn about now.

        From angles (B, 5, 3, 3), first joints (B, 5, 3) and rest bones (B, 5, 3, 3) from each joint to the next.
        """
        parts = self._axis_rotations(angles)
        flexion = parts[..., 0, :, :]
        bent = flexion @ parts[..., 1, :, :]
        local = bent @ parts[..., 2, :, :]
        axes = np.empty((*angles.shape, 3))
        axes[..., 0, :] = self.axes[..., 0, :]
        axes[..., 1, :] = (flexion @ self.axes[..., 1, :, None])[..., 0]
        axes[..., 2, :] = (bent @ self.axes[..., 2, :, None])[..., 0]
        points = np.empty((len(angles), 5, 4, 3))
        points[:, :, 0] = roots
        frame = local[:, :, 0]
        points[:, :, 1] = roots + _turn(frame, bones[:, :, 0])
        for joint in (1, 2):
            # The rows of `axes` are vectors, so turning them by `frame` is a product with its transpose.
            axes[:, :, joint] = axes[:, :, joint] @ frame.swapaxes(-1, -2)
            frame = frame @ local[:, :, joint]
            points[:, :, joint + 1] = points[:, :, joint] + _turn(frame, bones[:, :, joint])
        return points, axes

    @staticmethod
    def jacobian(points: Array, turning_axes: Array) -> Array:
        """Derivative by the angles of the points after the first: (B, 5, 3 points, 3 xyz, 9 = joint x axis)."""
        count = len(points)
        result = np.zeros((count, 5, 3, 3, 9))
        for joint in range(3):
            arms = points[:, :, joint + 1 :] - points[:, :, joint, None]
            moved = _cross(turning_axes[:, :, joint, None], arms[:, :, :, None])  # (B, 5, points, axis, xyz)
            result[:, :, joint:, :, 3 * joint : 3 * joint + 3] = moved.swapaxes(-1, -2)
        return result

    def closed_form(self, directions: Array) -> Array:
        """Angles (B, 5, 3, 3) within limits, twist 0, that swing each bone towards `directions` (B, 5, 3 bones, 3).

        Directions are unit vectors in the wrist frame. Joint after joint, each in the frame its parent really got.
        """
        angles = np.zeros((len(directions), 5, 3, 3))
        frame = np.broadcast_to(np.eye(3), (len(directions), 5, 3, 3))
        for joint in range(3):
            local = _turn(frame.swapaxes(-1, -2), directions[:, :, joint])
            along = _turn(self.axes[:, joint], local)  # on flexion, abduction and twist axis
            angles[:, :, joint, 0] = np.arctan2(-along[..., 1], along[..., 2])
            angles[:, :, joint, 1] = np.arcsin(np.clip(along[..., 0], -1, 1))
            angles[:, :, joint] = self.within_limits(angles)[:, :, joint]
            if joint < 2:
                frame = frame @ self.local_rotations(angles)[:, :, joint]
        return angles

    def _axis_rotations(self, angles: Array) -> Array:
        """(B, 5, 3, 3) -> (B, 5, 3, 3, 3, 3): a rotation matrix for each single angle."""
        sine, versine = np.sin(angles)[..., None, None], (1 - np.cos(angles))[..., None, None]
        rotations: Array = sine * self._cross
        rotations += versine * self._cross_squared
        rotations += np.eye(3)
        return rotations


def _dot(a: Array, b: Array) -> Array:
    result: Array = (a * b).sum(-1, keepdims=True)
    return result


def _unit(vectors: Array) -> Array:
    result: Array = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return result


def _turn(matrices: Array, vectors: Array) -> Array:
    """(..., 3, 3) and (..., 3) -> (..., 3)."""
    result: Array = (matrices @ vectors[..., None])[..., 0]
    return result


def _cross(a: Array, b: Array) -> Array:
    """`np.cross` of (..., 3) arrays, without its overhead on small ones."""
    a0, a1, a2 = a[..., 0], a[..., 1], a[..., 2]
    b0, b1, b2 = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], -1)
