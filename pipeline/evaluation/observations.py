"""An observation is what was true and what was found of a hand in a frame, measured and kept as plain numbers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from hamba_core.arrays import Array, Float32Array
from hamba_core.hand import Side
from hamba_core.metrics import (
    distances,
    f_scores,
    mpjpe,
    pa_mpjpe,
    procrustes,
    procrustes_aligned,
    root_aligned,
)
from stages.common.proximity import hand_size
from stages.packets import Hand, HandBox
from stages.synthetic import HandTruth

F_SCORE_EVERY: Final = 5
"""Frames of which one has its F-scores measured: they cost more than everything else together."""

Errors = dict[str, float]
"""Named measures of one hand in one frame; what cannot be measured is left out."""


@dataclass(frozen=True, eq=False)
class Found:
    """A hand as one method gave it."""

    side: Side
    track_id: int
    seen: bool  # by the detector in this frame
    joints: Float32Array  # (21, 3) m
    joints_2d: Float32Array  # (21, 2) px
    placed: bool  # whether joints are in the camera frame, or only relative to one another
    vertices: Float32Array | None = None  # (V, 3) m


@dataclass(frozen=True, eq=False)
class Observation:
    """A true hand in a frame, and what each method made of it."""

    scene: str
    hand: int  # index of the true hand in its scene
    frame: int
    pts: float  # s
    groups: frozenset[str]
    visibility: float
    speed: float  # m/s, mean over joints; NaN in a scene's first frame
    joints: Float32Array  # (21, 3) m, the truth
    side: Side
    found: dict[str, Found] = field(default_factory=dict)  # by method, without vertices
    errors: dict[str, Errors] = field(default_factory=dict)  # by method


def found_boxes(boxes: Sequence[HandBox]) -> list[Found]:
    """Return the detector's own hands of a frame: those that it saw."""
    return [
        Found(box.side, box.track_id or 0, box.seen, box.joints_world, box.joints_2d, placed=False)
        for box in boxes
        if box.seen
    ]


def found_hands(hands: Sequence[Hand], seen: frozenset[int]) -> list[Found]:
    """Return an estimator's hands of a frame; `seen` are the tracks that the detector saw in it."""
    return [
        Found(
            hand.side, hand.track_id, hand.track_id in seen, hand.joints, hand.joints_2d, placed=True,
            vertices=hand.vertices if len(hand.vertices) else None,
        )
        for hand in hands
    ]  # fmt: skip


def errors_of(found: Found, truth: HandTruth, *, with_f_scores: bool) -> Errors:
    """Return every measure that can be taken of a hand, in mm, px or shares.

    Before alignment hands are compared wrist on wrist. Alignment never mirrors: a hand of the wrong side is wrong.
    """
    joints, true = found.joints.astype(np.float64), truth.joints
    rooted = root_aligned(joints, joints, true)
    pixels = float(mpjpe(found.joints_2d, truth.joints_2d))
    errors = {
        "mpjpe": 1e3 * float(mpjpe(rooted, true)),
        "pa_mpjpe": 1e3 * float(pa_mpjpe(joints, true)),
        "reprojection": pixels,
        "reprojection_share": 100 * pixels / hand_size(truth.joints_2d),
    }
    if found.placed:
        apart = joints[0] - true[0]
        errors |= {
            "translation": 1e3 * float(np.linalg.norm(apart)),
            "depth": 1e3 * abs(float(apart[2])),
            "sideways": 1e3 * float(np.hypot(apart[0], apart[1])),
        }
    if found.vertices is not None:
        errors |= _mesh_errors(found.vertices, joints, truth, with_f_scores=with_f_scores)
    return errors


def _mesh_errors(vertices: Float32Array, joints: Array, truth: HandTruth, *, with_f_scores: bool) -> Errors:
    errors: Errors = {}
    rooted = root_aligned(vertices, joints, truth.joints)
    if len(vertices) == len(truth.vertices):
        aligned = procrustes_aligned(vertices, truth.vertices)
        errors["mpvpe"] = 1e3 * float(mpjpe(rooted, truth.vertices))
        errors["pa_mpvpe"] = 1e3 * float(mpjpe(aligned, truth.vertices))
    else:  # another mesh has no corresponding vertices: the joints align it
        aligned = procrustes(joints, truth.joints).apply(vertices)
    if with_f_scores:
        for name, mesh in (("", rooted), ("pa_", aligned)):
            five, fifteen = f_scores(mesh, truth.vertices).tolist()
            errors |= {f"{name}f5": five, f"{name}f15": fifteen}
    return errors


def joint_errors(observations: Sequence[Observation], method: str, *, aligned: bool) -> Array:
    """Return errors (n, 21) m by joint of the hands that a method found, wrist on wrist or Procrustes-aligned."""
    pairs = [(o.found[method].joints, o.joints) for o in observations if method in o.errors]
    if not pairs:
        return np.empty((0, 21))
    joints, true = (np.asarray(side, np.float64) for side in zip(*pairs, strict=True))
    moved = procrustes_aligned(joints, true) if aligned else root_aligned(joints, joints, true)
    return distances(moved, true)
