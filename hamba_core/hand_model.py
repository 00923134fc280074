"""A parametric hand in MANO's structure, in NumPy.

The model is MANO's (Romero, Tzionas and Black, "Embodied Hands", SIGGRAPH Asia 2017): a template mesh, ten shape
directions, pose-corrective directions and linear blend skinning over 16 joints. Units are metres.
A model is always a right hand; a left hand is posed as the mirrored right hand
(`docs/conventions.md`): its rotations and betas are those of the right hand seen in a mirror that flips x, while the
vertices, joints and translation that come out are the real left hand's.

`hamba_core.hand_layer` is the same computation in torch (smplx), for the network.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import HandModelError
from hamba_core.skeleton import JOINTS_FROM_MODEL, MODEL_PARENTS, Side

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
    def _has_posedirs(self) -> bool:
        return bool(self.posedirs.any())

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
        shaped = self.v_template + self.shapedirs @ betas
        rest = self.rest_joints(betas)
        if self._has_posedirs:
            shaped = shaped + self.posedirs @ (hand_pose - np.eye(3)).ravel()
        rotations, positions = self._forward_kinematics(np.concatenate([global_orient[None], hand_pose]), rest)
        # Each vertex is moved by the weighted mean of its joints' transforms, as one (V, 16) @ (16, 12) product.
        offsets = positions - np.einsum("jab,jb->ja", rotations, rest)
        blended = self.weights @ np.concatenate([rotations.reshape(16, 9), offsets], 1)
        vertices = np.einsum("vab,vb->va", blended[:, :9].reshape(-1, 3, 3), shaped) + blended[:, 9:]
        joints = np.concatenate([positions, vertices[self.tips]])[list(JOINTS_FROM_MODEL)]
        if side == "left":
            vertices, joints = vertices @ MIRROR, joints @ MIRROR
        return PosedHand(vertices + translation, joints + translation)

    @staticmethod
    def _forward_kinematics(local: Array, rest: Array) -> tuple[Array, Array]:
        """Local rotations (16, 3, 3) and rest joints (16, 3) -> world rotations and positions of the 16 joints."""
        rotations, positions = local.copy(), rest.copy()
        for joint, parent in enumerate(MODEL_PARENTS):
            if parent >= 0:
                rotations[joint] = rotations[parent] @ local[joint]
                positions[joint] = positions[parent] + rotations[parent] @ (rest[joint] - rest[parent])
        return rotations, positions
