"""How far reconstructed points are from true ones, as the field measures it."""

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import nearest_rotation


def procrustes_aligned(points: NDArray[np.floating], to: NDArray[np.floating]) -> Array:
    """`points` (..., N, 3) turned, scaled and moved to lie nearest to `to` (..., N, 3), in the unit of `to`.

    The similarity that minimises the sum of squared distances, without reflection (Umeyama, "Least-squares estimation
    of transformation parameters between two point patterns", PAMI 1991). Points that all
    coincide go to the mean of `to`.
    """
    points, to = np.asarray(points, np.float64), np.asarray(to, np.float64)
    goal = to.mean(-2, keepdims=True)
    centred, wanted = points - points.mean(-2, keepdims=True), to - goal
    turned = centred @ nearest_rotation(np.swapaxes(wanted, -1, -2) @ centred).swapaxes(-1, -2)
    size = (centred * centred).sum((-2, -1), keepdims=True)
    overlap = (turned * wanted).sum((-2, -1), keepdims=True)
    scale = np.divide(overlap, size, out=np.zeros_like(size), where=size > 0)
    aligned: Array = scale * turned + goal
    return aligned


def mpjpe(joints: NDArray[np.floating], truth: NDArray[np.floating]) -> Array:
    """Mean per-joint position error (...) of joints (..., N, 3), in their unit."""
    error: Array = np.linalg.norm(np.asarray(joints, np.float64) - truth, axis=-1).mean(-1)
    return error


def pa_mpjpe(joints: NDArray[np.floating], truth: NDArray[np.floating]) -> Array:
    """`mpjpe` after Procrustes alignment: what is left of the error without rotation, scale and place."""
    return mpjpe(procrustes_aligned(joints, truth), truth)
