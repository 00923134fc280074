"""Hands fitted each by itself, without the memory of a track: to landmarks, or to another estimate's joints."""

from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import HandModel
from stages.reconstruction.landmarks.fingers import FINGER_JOINTS, Fingers
from stages.reconstruction.landmarks.fit import LandmarkFit, Landmarks
from stages.reconstruction.landmarks.offsets import landmark_offsets
from stages.reconstruction.landmarks.shape import RunningLengths, ShapeFromLengths, span_lengths

NETWORK_SCATTER: Final = 0.003
"""m: of a joint in 3D as hamba-s has it. Of 2, 3, 4, 5, 8 and 12 mm, 2 and 3 did best on the test pattern in 3D, and 3
better than 2 in the picture."""


class SingleHands(NamedTuple):
    """B right hands."""

    rotations: Array  # (B, 16, 3, 3), model order, the wrist's first
    betas: Array  # (B, 10)
    wrist: Array  # (B, 3) m
    ray_error: Array  # (B,) mean distance of the landmarks' rays from those seen, as a share of the hand's size


class SingleFit:
    """Fits hands of one model. Holds no state."""

    def __init__(self, model: HandModel) -> None:
        self._model, self._offsets = model, landmark_offsets(model)
        self._fingers = Fingers(model, self._offsets)
        self._fit = LandmarkFit(self._fingers, self._offsets)
        self._close_fit = LandmarkFit(self._fingers, self._offsets, NETWORK_SCATTER)
        self._shape = ShapeFromLengths(model, self._offsets)

    def to_landmarks(self, rays: Array, points: Array) -> SingleHands:
        """Fit hands to landmarks seen at rays (B, 21, 2) and, with any origin and scale, at points (B, 21, 3)."""
        lengths = [span_lengths(of_hand) for of_hand in points]
        betas = np.stack([self._shape.betas(RunningLengths(of_hand)) for of_hand in lengths])
        rest = self._rest(betas)
        own, seen = span_lengths(rest + self._offsets), np.stack(lengths)
        scales = (own * seen).sum(1) / np.maximum((seen * seen).sum(1), 1e-12)
        return self._fitted(self._fit, rays, points * scales[:, None, None], betas, rest)

    def to_pose(self, rays: Array, rotations: Array, joints: Array, betas: Array) -> SingleHands:
        """Fit hands to joints (B, 21, 3), m from any origin, as nearly as landmarks at rays (B, 21, 2) allow."""
        points = joints + self._turned_offsets(rotations)
        return self._fitted(self._close_fit, rays, points, betas, self._rest(betas))

    def _rest(self, betas: Array) -> Array:
        return np.stack([self._model.rest_joints_21(of_hand) for of_hand in betas])

    def _fitted(self, by: LandmarkFit, rays: Array, points: Array, betas: Array, rest: Array) -> SingleHands:
        fit = by.fit(Landmarks(rays, points), rest - rest[:, :1])
        pose = self._fingers.hand_pose(fit.angles)
        rotations = np.concatenate([fit.global_orient[:, None], pose], 1)
        return SingleHands(rotations, betas, fit.wrist, fit.ray_error)

    def _turned_offsets(self, rotations: Array) -> Array:
        """Return the offsets (B, 21, 3) from joints to landmarks, each turned with the bone that ends there."""
        turned = np.tile(rotations[:, :1], (1, 21, 1, 1))
        for finger, joints in enumerate(FINGER_JOINTS):
            for place, joint in enumerate(joints):
                end = 4 * finger + place + 2
                turned[:, end] = turned[:, end - 1] @ rotations[:, joint]
        offsets: Array = (turned @ self._offsets[:, :, None])[..., 0]
        return offsets
