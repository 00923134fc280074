"""How far reconstructed points are from true ones, as the field measures it.

Points are metres and errors too, unless a function says otherwise. Every function takes many hands at once: leading
dimensions (...) are kept. How a hand moves over time is measured in `hamba_core.motion_metrics`.
"""

from typing import NamedTuple

import numpy as np

from hamba_core.arrays import AnyFloats, Array, BoolArray
from hamba_core.hand import nearest_rotation


class Similarity(NamedTuple):
    """A map that turns, scales and moves points; it may mirror them too."""

    scale: Array  # (..., 1, 1)
    rotation: Array  # (..., 3, 3), determinant -1 where it mirrors
    source: Array  # (..., 1, 3), goes to `goal`
    goal: Array  # (..., 1, 3)

    def apply(self, points: AnyFloats) -> Array:
        """Return points (..., N, 3) mapped."""
        mapped: Array = self.scale * ((points - self.source) @ np.swapaxes(self.rotation, -1, -2)) + self.goal
        return mapped


def procrustes(points: AnyFloats, to: AnyFloats, *, reflection: bool = False) -> Similarity:
    """Return the similarity that takes `points` (..., N, 3) nearest to `to` (..., N, 3), by summed squared distances.

    Without `reflection` it never mirrors (Umeyama, "Least-squares estimation of transformation parameters between two
    point patterns", PAMI 1991). With it, it mirrors where that comes nearer, as FreiHAND's and HO-3D's published
    evaluations do (Schönemann, "A generalized solution of the orthogonal Procrustes problem", Psychometrika 1966).
    Points that all coincide go to the mean of `to`.
    """
    points, to = np.asarray(points, np.float64), np.asarray(to, np.float64)
    source, goal = points.mean(-2, keepdims=True), to.mean(-2, keepdims=True)
    centred, wanted = points - source, to - goal
    covariance = np.swapaxes(wanted, -1, -2) @ centred
    rotation = _nearest_orthogonal(covariance) if reflection else nearest_rotation(covariance)
    turned = centred @ np.swapaxes(rotation, -1, -2)
    size = (centred * centred).sum((-2, -1), keepdims=True)
    overlap = (turned * wanted).sum((-2, -1), keepdims=True)
    scale = np.divide(overlap, size, out=np.zeros_like(size), where=size > 0)
    return Similarity(scale, rotation, source, goal)


def _nearest_orthogonal(matrices: Array) -> Array:
    """Return the orthogonal matrices (..., 3, 3) nearest to these, rotations or reflections."""
    u, _, vt = np.linalg.svd(matrices)
    nearest: Array = u @ vt
    return nearest


def procrustes_aligned(points: AnyFloats, to: AnyFloats, *, reflection: bool = False) -> Array:
    """Return `points` (..., N, 3) turned, scaled and moved to lie nearest to `to` (..., N, 3); see `procrustes`."""
    return procrustes(points, to, reflection=reflection).apply(points)


def mirrored(points: AnyFloats, truth: AnyFloats) -> BoolArray:
    """Return whether (...) points (..., N, 3) come nearer to the truth's mirror image than to the truth, once aligned.

    An alignment that allows reflections cannot tell a left hand from a right one: this does. Points in one plane are
    their own mirror image, and count as mirrored or not by rounding.
    """
    points, truth = np.asarray(points, np.float64), np.asarray(truth, np.float64)
    centred, wanted = points - points.mean(-2, keepdims=True), truth - truth.mean(-2, keepdims=True)
    result: BoolArray = np.linalg.det(np.swapaxes(wanted, -1, -2) @ centred) < 0
    return result


def distances(points: AnyFloats, truth: AnyFloats) -> Array:
    """Return the distance (..., N) of each point (..., N, 3 or 2) from the true one."""
    result: Array = np.linalg.norm(np.asarray(points, np.float64) - truth, axis=-1)
    return result


def mpjpe(joints: AnyFloats, truth: AnyFloats) -> Array:
    """Return the mean per-joint position error (...) of joints (..., N, 3), in their unit; of vertices, the MPVPE."""
    error: Array = distances(joints, truth).mean(-1)
    return error


def pa_mpjpe(joints: AnyFloats, truth: AnyFloats, *, reflection: bool = False) -> Array:
    """Return `mpjpe` after Procrustes alignment: what is left of the error without rotation, scale and place."""
    return mpjpe(procrustes_aligned(joints, truth, reflection=reflection), truth)


def root_aligned(points: AnyFloats, joints: AnyFloats, true_joints: AnyFloats) -> Array:
    """Return points (..., N, 3) of a hand moved so that its wrist, the first of `joints`, lies on the true wrist."""
    moved: Array = np.asarray(points, np.float64) + (np.asarray(true_joints) - joints)[..., :1, :]
    return moved


def scale_and_root_aligned(joints: AnyFloats, truth: AnyFloats) -> Array:
    """Scale joints (..., 21, 3) until the first and the fifth are as far apart as in truth, then put wrist on wrist.

    This is HO-3D's published "scale-translation" alignment. In that set's order of joints, as in MANO's, the first is
    the wrist and the fifth the middle finger's knuckle.
    """
    joints, truth = np.asarray(joints, np.float64), np.asarray(truth, np.float64)
    own, true = (np.linalg.norm(j[..., 4, :] - j[..., 0, :], axis=-1)[..., None, None] for j in (joints, truth))
    scale = np.divide(true, own, out=np.broadcast_to(true, own.shape).copy(), where=own > 0)
    aligned: Array = scale * (joints - joints[..., :1, :]) + truth[..., :1, :]
    return aligned


AUC_MOST = 0.05
"""Metres: the largest threshold of FreiHAND's and HO-3D's curves."""
AUC_STEPS = 100


class Pck(NamedTuple):
    """A curve of correct points."""

    thresholds: Array  # (T,) m
    share: Array  # (T,) of points that are at most that far off, 0..1
    auc: float  # area under the curve over that of a perfect one


def pck_curve(errors: AnyFloats, most: float = AUC_MOST, steps: int = AUC_STEPS) -> Pck:
    """Return the share of correct points over thresholds from 0 to `most`, from errors (hands, N).

    It is computed as in FreiHAND's evaluation: a point is correct at `<=`; curve and area (trapezoids) are computed for
    each of the N points over all hands, and then averaged.
    """
    errors = np.asarray(errors, np.float64)
    thresholds = np.linspace(0, most, steps)
    ordered = np.sort(errors, axis=0)
    share = np.stack([np.searchsorted(column, thresholds, "right") for column in ordered.T]) / max(len(errors), 1)
    area: Array = np.asarray(np.trapezoid(share, thresholds, axis=1), np.float64) / most
    return Pck(thresholds, share.mean(0), float(area.mean()))


def f_scores(vertices: AnyFloats, truth: AnyFloats, thresholds: tuple[float, ...] = (0.005, 0.015)) -> Array:
    """Return F-scores (T,) of a mesh's vertices (V, 3) against the true ones (W, 3), which may be of another mesh.

    A score is the harmonic mean of two shares: of own vertices with a true one nearer than the threshold, and of true
    ones with an own one nearer (Knapitsch et al., "Tanks and Temples", 2017; FreiHAND uses 5 and 15 mm, with a strict
    `<`).
    """
    own, true = nearest_distances(vertices, truth), nearest_distances(truth, vertices)
    precision, recall = (np.asarray((gap[:, None] < np.asarray(thresholds)).mean(0)) for gap in (own, true))
    total = precision + recall
    score: Array = np.divide(2 * precision * recall, total, out=np.zeros_like(total), where=total > 0)
    return score


def nearest_distances(points: AnyFloats, others: AnyFloats) -> Array:
    """Return the distance (N,) of each point (N, 3) from the nearest of the others (M, 3)."""
    from scipy.spatial import KDTree

    nearest, _ = KDTree(np.asarray(others, np.float64)).query(np.asarray(points, np.float64))
    return np.asarray(nearest, np.float64)
