"""Placement finds where in front of the camera a hand of known form is."""

import numpy as np

from hamba_core.arrays import Array

NEAREST = 0.02
"""m: no hand is seen nearer than this; it keeps divisions by depth sane."""


def translation_from_rays(points: Array, rays: Array) -> Array:
    """Return t (B, 3) that brings points (B, N, 3) of known form onto rays (B, N, 2), by linear least squares.

    For every point, (x + t_x) - u (z + t_z) = 0, and the same in y.
    """
    u, v = rays[..., 0], rays[..., 1]
    normal = np.zeros((len(points), 3, 3))
    normal[:, 0, 0] = normal[:, 1, 1] = rays.shape[1]
    normal[:, 0, 2] = normal[:, 2, 0] = -u.sum(1)
    normal[:, 1, 2] = normal[:, 2, 1] = -v.sum(1)
    normal[:, 2, 2] = (u * u + v * v).sum(1)
    x, y = u * points[..., 2] - points[..., 0], v * points[..., 2] - points[..., 1]
    right = np.stack([x.sum(1), y.sum(1), -(u * x + v * y).sum(1)], -1)
    translation: Array = np.linalg.solve(normal, right[..., None])[..., 0]
    return translation


def placement(points: Array, rays: Array, size: Array) -> Array:
    """Return t (B, 3) that puts points (B, N, 3) of known form where rays (B, N, 2) see them, by what can be trusted.

    `size` (B,) is the diagonal of the rays' box. Perspective tells the distance of a near hand better than its size
    does, but if the form is not the one that was seen it misleads by any amount. The size misleads by no more than the
    hand is deep; so if the two differ by more than that, the size is believed.
    """
    linear = translation_from_rays(points, rays)
    across, up, deep = np.ptp(points, axis=1).T
    middle = points.mean(1)
    distance = np.hypot(across, up) / size
    astray = np.abs(linear[:, 2] + middle[:, 2] - distance) > deep
    if not astray.any():
        return linear
    by_size = np.column_stack([rays.mean(1) * distance[:, None], distance]) - middle
    return np.where(astray[:, None], by_size, linear)
