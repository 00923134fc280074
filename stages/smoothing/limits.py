"""Joints are held within what a hand can do: filters turn each joint along its own way, which may lead beyond."""

from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Array
from hamba_core.hand import HandModel, exp_so3, joint_axes

_LEAST_OVER: Final = 1e-3  # radians beyond which a joint is turned back


class JointLimits:
    """The limits of a hand model's 15 finger joints: flexion, abduction and twist of each."""

    def __init__(self, model: HandModel) -> None:
        self._axes = joint_axes(model.rest_joints_21(np.zeros(10)))  # (15, 3, 3), rows
        self._least, self._most = model.joint_limits[..., 0], model.joint_limits[..., 1]

    def held(self, pose: Array, given: AnyFloats) -> Array:
        """Return a pose (15, 3, 3) whose joints go beyond their limits no farther than those of the pose `given` do.

        A network's hand may be beyond them; that is not what is mended here.
        """
        angles = self._angles(pose)
        if np.maximum(self._least - angles, angles - self._most).max() <= _LEAST_OVER:
            return pose
        allowed = self._angles(given.astype(np.float64))
        held = np.clip(angles, np.minimum(self._least, allowed), np.maximum(self._most, allowed))
        turned = np.abs(held - angles).max(-1) > _LEAST_OVER
        flexion, abduction, twist = (exp_so3(held[turned, n, None] * self._axes[turned, n]) for n in range(3))
        pose = pose.copy()
        pose[turned] = flexion @ abduction @ twist
        return pose

    def _angles(self, pose: Array) -> Array:
        """Return the angles (15, 3) of rotations R(flexion) @ R(abduction) @ R(twist)."""
        local = self._axes @ pose @ self._axes.swapaxes(-1, -2)
        return np.stack(
            [
                np.arctan2(-local[:, 1, 2], local[:, 2, 2]),
                np.arcsin(local[:, 0, 2].clip(-1, 1)),
                np.arctan2(-local[:, 0, 1], local[:, 0, 0]),
            ],
            -1,
        )
