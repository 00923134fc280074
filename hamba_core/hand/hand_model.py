"""A parametric hand in MANO's structure, in NumPy.

The model is MANO's (Romero, Tzionas and Black, "Embodied Hands", SIGGRAPH Asia 2017): a template mesh, ten shape
directions, pose-corrective directions and linear blend skinning over 16 joints. Units are metres.
A model is always a right hand; a left hand is posed as the mirrored right hand
(`docs/conventions.md`): its rotations and betas are those of the right hand seen in a mirror that flips x, while the
vertices, joints and translation that come out are the real left hand's.

`hamba_core.hand.hand_layer` is the same computation in torch (smplx), for the network.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import HandModelError
from hamba_core.hand.skeleton import JOINTS_FROM_MODEL, Side

Array = NDArray[np.float64]
IntArray = NDArray[np.int64]

MIRROR = np.diag([-1.0, 1.0, 1.0])
"""M: takes a right hand to a left one. Its own inverse."""


class PosedHand(NamedTuple):
    """A hand in space, metres."""

    vertices: Array  # (V, 3)
    joints: Array  # (21, 3), joint order


@dataclass(frozen=True, eq=False)
class HandModel:
    """A right hand in MANO's structure. Arrays are float64, read-only, metres."""

    name: str
    v_template: Array  # (V, 3)
    shapedirs: Array  # (V, 3, 10)
    posedirs: Array  # (V, 3, 135); zeros where a model has no pose correctives
    j_regressor: Array  # (16, V)
    weights: Array  # (V, 16), rows sum to 1
    faces: IntArray  # (F, 3), wound counter-clockwise seen from outside
    tips: IntArray  # (5,) vertices: thumb, index, middle, ring, little
    flexion_axes: Array  # (15, 3) unit, rest pose: a positive rotation about it closes the finger
    joint_limits: Array  # (15, 3, 2) radians: (flexion, abduction, twist) x (least, most)

    def __post_init__(self) -> None:
        v, f = len(self.v_template), len(self.faces)
        expected = {
            "v_template": (v, 3), "shapedirs": (v, 3, 10), "posedirs": (v, 3, 135), "j_regressor": (16, v),
            "weights": (v, 16), "faces": (f, 3), "tips": (5,), "flexion_axes": (15, 3), "joint_limits": (15, 3, 2),
        }  # fmt: skip
        for field, shape in expected.items():
            array: NDArray[np.generic] = getattr(self, field)
            if array.shape != shape:
                raise HandModelError(f"hand model {self.name!r}: expected {field} {shape}, found {array.shape}")
            if not np.isfinite(array).all():
                raise HandModelError(f"hand model {self.name!r}: {field} holds values that are not finite")
            array.setflags(write=False)
        if f and (self.faces.min() < 0 or self.faces.max() >= v):
            raise HandModelError(f"hand model {self.name!r}: faces name vertices outside 0..{v - 1}")

    def faces_of(self, side: Side) -> IntArray:
        """Faces (F, 3) wound counter-clockwise seen from outside, for a hand of this side."""
        return self.faces if side == "right" else self._faces_left

    @cached_property
    def _faces_left(self) -> IntArray:
        return self.faces[:, ::-1].copy()

    @cached_property
    def _joint_template(self) -> Array:
        return self.j_regressor @ self.v_template

    @cached_property
    def _joint_shapedirs(self) -> Array:
        return np.tensordot(self.j_regressor, self.shapedirs, 1)

    @cached_property
    def _flat_shapedirs(self) -> Array:
        """(3 V, 10): one product with a contiguous matrix is several times faster than V small ones."""
        return np.ascontiguousarray(self.shapedirs.reshape(-1, 10))

    @cached_property
    def _flat_posedirs(self) -> Array | None:
        """(3 V, 135), or none where there are no correctives."""
        return np.ascontiguousarray(self.posedirs.reshape(-1, 135)) if self.posedirs.any() else None

    def rest_joints(self, betas: Array) -> Array:
        """The 16 model joints (16, 3) of the rest pose, model order."""
        return self._joint_template + self._joint_shapedirs @ betas

    def rest_joints_21(self, betas: Array) -> Array:
        """All 21 joints (21, 3) of the rest pose, joint order."""
        tips = self.v_template[self.tips] + self.shapedirs[self.tips] @ betas
        return np.concatenate([self.rest_joints(betas), tips])[list(JOINTS_FROM_MODEL)]

    def pose(
        self, global_orient: Array, hand_pose: Array, betas: Array, translation: Array, side: Side = "right"
    ) -> PosedHand:
        """Pose the hand: (3, 3), (15, 3, 3), (10,), (3,) -> vertices and 21 joints in the frame of `translation`.

        As smplx: the wrist of the shaped rest hand stays in place under `global_orient`, then `translation` is added.
        """
        shaped = self.v_template + (self._flat_shapedirs @ betas).reshape(-1, 3)
        if self._flat_posedirs is not None:
            shaped += (self._flat_posedirs @ (hand_pose - np.eye(3)).ravel()).reshape(-1, 3)
        rest = self.rest_joints(betas)
        rotations, positions = _forward_kinematics(global_orient, hand_pose, rest)
        offsets = positions - (rotations @ rest[:, :, None])[:, :, 0]
        if side == "left":
            rotations, offsets, positions = MIRROR @ rotations, offsets @ MIRROR, positions @ MIRROR
        # Each vertex is moved by the weighted mean of its joints' transforms, as one (V, 16) @ (16, 12) product whose
        # columns are the transforms' columns one after the other.
        transforms = np.concatenate([rotations.transpose(0, 2, 1).reshape(16, 9), offsets + translation], 1)
        mean = self.weights @ transforms
        vertices = mean[:, 9:].copy()
        for axis in range(3):
            vertices += mean[:, 3 * axis : 3 * axis + 3] * shaped[:, axis, None]
        joints = np.concatenate([positions + translation, vertices[self.tips]])[list(JOINTS_FROM_MODEL)]
        return PosedHand(vertices, joints)


def _forward_kinematics(global_orient: Array, hand_pose: Array, rest: Array) -> tuple[Array, Array]:
    """Rotations (3, 3), (15, 3, 3) and rest joints (16, 3) -> world rotations and positions of the 16 joints."""
    local, rest_fingers = hand_pose.reshape(5, 3, 3, 3), rest[1:].reshape(5, 3, 3)
    rotations, positions = np.empty((16, 3, 3)), np.empty((16, 3))
    rotations[0], positions[0] = global_orient, rest[0]
    finger_rotations, finger_positions = rotations[1:].reshape(5, 3, 3, 3), positions[1:].reshape(5, 3, 3)
    parent_rotation, parent_position, parent_rest = rotations[0], positions[0], rest[0]
    for i in range(3):  # all fingers at once, from the palm outwards
        bone = (rest_fingers[:, i] - parent_rest)[:, :, None]
        finger_positions[:, i] = parent_position + (parent_rotation @ bone)[:, :, 0]
        finger_rotations[:, i] = parent_rotation @ local[:, i]
        parent_rotation, parent_position = finger_rotations[:, i], finger_positions[:, i]
        parent_rest = rest_fingers[:, i]
    return rotations, positions
