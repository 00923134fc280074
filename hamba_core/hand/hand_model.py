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
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array, Int64Array
from hamba_core.errors import HandModelError
from hamba_core.hand.kinematics import along_fingers
from hamba_core.hand.mirror import MIRROR
from hamba_core.hand.skeleton import JOINTS_FROM_MODEL, Side


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
    faces: Int64Array  # (F, 3), wound counter-clockwise seen from outside
    tips: Int64Array  # (5,) vertices: thumb, index, middle, ring, little
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

    def faces_of(self, side: Side) -> Int64Array:
        """Return faces (F, 3) wound counter-clockwise seen from outside, for a hand of this side."""
        return self.faces if side == "right" else self._faces_left

    @cached_property
    def _faces_left(self) -> Int64Array:
        return self.faces[:, ::-1].copy()

    @cached_property
    def _joint_template(self) -> Array:
        return self.j_regressor @ self.v_template

    @cached_property
    def _joint_shapedirs(self) -> Array:
        """Return how the 16 joints' coordinates change with each beta, (48, 10)."""
        return np.tensordot(self.j_regressor, self.shapedirs, 1).reshape(48, 10)

    @cached_property
    def _surface(self) -> "_Skin":
        return _Skin.of(self, slice(None))

    @cached_property
    def _tip_surface(self) -> "_Skin":
        return _Skin.of(self, self.tips)

    def rest_joints(self, betas: Array) -> Array:
        """Return the 16 model joints (..., 16, 3) of the rest pose, model order, for betas (..., 10)."""
        return self._joint_template + (betas @ self._joint_shapedirs.T).reshape(*betas.shape[:-1], 16, 3)

    def rest_joints_21(self, betas: Array) -> Array:
        """Return all 21 joints (21, 3) of the rest pose, joint order, for betas (10,)."""
        tips = self.v_template[self.tips] + self.shapedirs[self.tips] @ betas
        return _joint_order(self.rest_joints(betas), tips)

    def pose(
        self, global_orient: Array, hand_pose: Array, betas: Array, translation: Array, side: Side = "right"
    ) -> PosedHand:
        """Pose the hand: (3, 3), (15, 3, 3), (10,), (3,) -> vertices and 21 joints in the frame of `translation`.

        As in smplx, the wrist of the shaped rest hand stays in place under `global_orient`; then `translation` is
        added.
        """
        transforms, positions = self._transforms(global_orient, hand_pose, betas, translation, side)
        vertices = self._surface.posed(hand_pose, betas, transforms)
        return PosedHand(vertices, _joint_order(positions, vertices[self.tips]))

    def joints(
        self, global_orient: Array, hand_pose: Array, betas: Array, translation: Array, side: Side = "right"
    ) -> Array:
        """Return the joints (..., 21, 3) that `pose` gives, for any number of hands, without their meshes.

        It takes (..., 3, 3), (..., 15, 3, 3), (..., 10) and (..., 3). Of the skin, only the tips are posed.
        """
        transforms, positions = self._transforms(global_orient, hand_pose, betas, translation, side)
        return _joint_order(positions, self._tip_surface.posed(hand_pose, betas, transforms))

    def _transforms(
        self, global_orient: Array, hand_pose: Array, betas: Array, translation: Array, side: Side
    ) -> tuple[Array, Array]:
        """Return what moves each model joint of the rest hand (..., 16, 12), and the joints' positions (..., 16, 3).

        What moves a joint is three columns of its rotation, then its offset.
        """
        rest = self.rest_joints(betas)
        leading = rest.shape[:-2]
        rotations, positions = np.empty((*leading, 16, 3, 3)), np.empty((*leading, 16, 3))
        rotations[..., 0, :, :], positions[..., 0, :] = global_orient, rest[..., 0, :]
        for i, (rotation, position) in enumerate(along_fingers(global_orient, hand_pose, rest), 1):
            rotations[..., i::3, :, :], positions[..., i::3, :] = rotation, position
        offsets = positions - (rotations @ rest[..., None])[..., 0]
        if side == "left":
            rotations, offsets, positions = MIRROR @ rotations, offsets @ MIRROR, positions @ MIRROR
        translation = translation[..., None, :]
        columns = rotations.swapaxes(-1, -2).reshape(*leading, 16, 9)
        return np.concatenate([columns, offsets + translation], -1), positions + translation


class _Skin(NamedTuple):
    """Some of a model's vertices, as posing needs them: a product with one contiguous matrix is several times faster
    than many small ones."""

    template: Array  # (N, 3)
    shapedirs: Array  # (3 N, 10)
    posedirs: Array | None  # (3 N, 135); none where there are no correctives
    weights: Array  # (N, 16)

    @classmethod
    def of(cls, model: HandModel, which: "slice | Int64Array") -> "_Skin":
        posedirs = model.posedirs[which].reshape(-1, 135)
        return cls(
            model.v_template[which],
            np.ascontiguousarray(model.shapedirs[which].reshape(-1, 10)),
            np.ascontiguousarray(posedirs) if posedirs.any() else None,
            model.weights[which],
        )

    def posed(self, hand_pose: Array, betas: Array, transforms: Array) -> Array:
        """Return the vertices (..., N, 3), each moved by the weighted mean of its joints' transforms (..., 16, 12)."""
        leading = betas.shape[:-1]
        shaped = self.template + (betas @ self.shapedirs.T).reshape(*leading, -1, 3)
        if self.posedirs is not None:
            bent = (hand_pose - np.eye(3)).reshape(*leading, 135)
            shaped += (bent @ self.posedirs.T).reshape(*leading, -1, 3)
        mean = self.weights @ transforms
        vertices = mean[..., 9:].copy()
        for axis in range(3):
            vertices += mean[..., 3 * axis : 3 * axis + 3] * shaped[..., axis, None]
        return vertices


def _joint_order(positions: Array, tips: Array) -> Array:
    """Put model joints (..., 16, 3) and tips (..., 5, 3) into joint order (..., 21, 3)."""
    return np.concatenate([positions, tips], -2)[..., _JOINT_ORDER, :]


_JOINT_ORDER: Final = np.array(JOINTS_FROM_MODEL)
