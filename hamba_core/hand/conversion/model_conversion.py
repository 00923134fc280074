"""Hands of one model as hands of another: MANO's parameters for a hand that was reconstructed with the generic one.

Two models have other shapes, other meshes and other joints. What they have in common is the surface: for a shape of the
source model, the target is laid onto it at rest, pose and shape, as in the ICP method (Besl and McKay 1992), and each
of its vertices gets its place there. From then on a place moves as the source's skin does, and the target's rotations
are fitted to where its places are; the start is the source's own rotations.
"""

from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array, Int64Array
from hamba_core.hand.conversion.point_fit import Pose, fit_step, joint_points, shape_step, sliding, surface_points
from hamba_core.hand.conversion.surfaces import Places, nearest_places
from hamba_core.hand.hand_model import HandModel
from hamba_core.hand.meshes import vertex_normals
from hamba_core.hand.rotations import nearest_rotation
from hamba_core.hand.skeleton import MODEL_PARENTS

_ROUNDS: Final = 8
_STEPS: Final = 4
_FIRST_STEPS: Final = 15
_LARGEST_BETA: Final = 3.0
_STIFFNESS: Final = 1e-7  # m², what a beta of 1 costs, as a mean square distance of the vertices
_PALM: Final = (0, 1, 5, 9, 13, 17)


class ConvertedHands(NamedTuple):
    """B right hands of the target model."""

    global_orient: Array  # (B, 3, 3)
    hand_pose: Array  # (B, 15, 3, 3)
    translation: Array  # (B, 3) m
    betas: Array  # (10,)
    distance: Array  # (B,) m, the mean over the vertices from their places on the source's surface


class ModelConversion:
    """Converts right hands of one shape of `source` into hands of `target`."""

    def __init__(self, source: HandModel, target: HandModel, source_betas: Array) -> None:
        self._source, self._target, self._source_betas = source, target, source_betas
        self._fingers = _fingers_of(target)
        flat = np.broadcast_to(np.eye(3), (1, 15, 3, 3))
        rest = surface_points(source, source_betas[None], flat).places[0]
        self.betas: Array = np.zeros(10)
        """(10,) of the target."""
        pose = self._start(rest)
        for _ in range(_ROUNDS):
            places, normals = self._places_on(rest, pose)
            targets, across = places.positions_on(rest)[None], sliding(normals)
            pose, betas = shape_step(target, self.betas, targets, places.weights, across, pose, _STIFFNESS)
            self.betas = np.clip(betas, -_LARGEST_BETA, _LARGEST_BETA)
        self._places, _ = self._places_on(rest, pose)
        # What the source's world rotations are multiplied with to be the target's: at rest, the source's are none.
        self._turns = _world(pose)[0]

    def convert(self, global_orient: Array, hand_pose: Array, betas: Array, translation: Array) -> ConvertedHands:
        """Convert hands (B, 3, 3), (B, 15, 3, 3), (B, 10), (B, 3) m of about the source's shape."""
        count = len(global_orient)
        source = Pose(global_orient, hand_pose, translation)
        given = zip(global_orient, hand_pose, betas, translation, strict=True)
        vertices = np.stack([self._source.pose(*each).vertices for each in given])
        targets, weights = self._places.positions_on(vertices), self._places.weights
        pose = _from_world(_world(source) @ self._turns, translation)
        shape = np.broadcast_to(self.betas, (count, 10))
        for _ in range(_STEPS):
            points = surface_points(self._target, shape, pose.hand_pose)
            pose = fit_step(points, targets, weights, pose)
        pose = Pose(nearest_rotation(pose.global_orient), nearest_rotation(pose.hand_pose), pose.translation)
        fitted = np.stack(
            [self._target.pose(orient, bent, self.betas, at).vertices for orient, bent, at in zip(*pose, strict=True)]
        )
        apart = np.linalg.norm(fitted - targets, axis=-1) @ weights / weights.sum()
        return ConvertedHands(*pose, self.betas, apart)

    def _start(self, rest: Array) -> Pose:
        """Return the target's pose with its joints near the source's at rest."""
        joints = self._source.rest_joints_21(self._source_betas)
        points = joint_points(self._target, self.betas[None])
        own = points.places[0]
        a, b = own[list(_PALM)], joints[list(_PALM)]
        orient = nearest_rotation((b - b.mean(0)).T @ (a - a.mean(0)))
        wrist = points.joints[0, 0]
        # The wrist stays in place when the hand is turned.
        shift = b.mean(0) - (orient @ (a.mean(0) - wrist) + wrist)
        pose = Pose(orient[None], np.broadcast_to(np.eye(3), (1, 15, 3, 3)), shift[None])
        for _ in range(_FIRST_STEPS):
            pose = fit_step(points, joints[None], np.ones(21), pose)
        return pose

    def _places_on(self, rest: Array, pose: Pose) -> tuple[Places, Array]:
        """Return the places of the vertices on the source at rest, and their normals."""
        target, source = self._target, self._source
        vertices = target.pose(pose.global_orient[0], pose.hand_pose[0], self.betas, pose.translation[0]).vertices
        normals = vertex_normals(vertices, target.faces)
        return nearest_places(vertices, normals, self._fingers, rest, source.faces, _fingers_of(source)), normals


def _fingers_of(model: HandModel) -> Int64Array:
    """Return to which finger each vertex (V,) belongs, in model order; -1 for the palm and a finger's root."""
    joints = model.weights.argmax(1)
    fingers: Int64Array = np.where(joints == 0, -1, (joints - 1) // 3)
    return fingers


def _world(pose: Pose) -> Array:
    """Return all joints' rotations (B, 16, 3, 3) in the world."""
    rotations = [pose.global_orient]
    for joint, parent in enumerate(MODEL_PARENTS[1:], 1):
        rotations.append(rotations[parent] @ pose.hand_pose[:, joint - 1])
    return np.stack(rotations, 1)


def _from_world(rotations: Array, translation: Array) -> Pose:
    """Return the pose whose joints' rotations in the world are these (B, 16, 3, 3)."""
    before = rotations[:, list(MODEL_PARENTS[1:])]
    return Pose(rotations[:, 0], before.swapaxes(-1, -2) @ rotations[:, 1:], translation)
