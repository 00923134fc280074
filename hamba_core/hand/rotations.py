"""Rotations in NumPy: exponential and logarithm of SO(3), quaternions, Euler angles, angles between, interpolation.

A rotation vector is axis times angle, radians. Every function takes any leading dimensions and broadcasts.
"""

import numpy as np
from numpy.typing import ArrayLike

from hamba_core.arrays import Array

_SMALL = 1e-4  # radians below which a series replaces a quotient; its first omitted term is under 1e-18


def exp_so3(vectors: ArrayLike) -> Array:
    """Convert rotation vectors (..., 3) to rotation matrices (..., 3, 3) by Rodrigues' formula."""
    vectors = np.asarray(vectors, np.float64)
    squared = (vectors * vectors).sum(-1)[..., None, None]
    angle = np.sqrt(squared)
    small = angle < _SMALL
    safe = np.where(small, 1.0, angle)
    sine = np.where(small, 1 - squared / 6, np.sin(safe) / safe)
    # 2 sin²(a/2) is 1 − cos a without its cancellation.
    cosine = np.where(small, 0.5 - squared / 24, 2 * (np.sin(safe / 2) / safe) ** 2)
    skew = hat(vectors)
    return np.eye(3) + sine * skew + cosine * (skew @ skew)


def log_so3(matrices: ArrayLike) -> Array:
    """Convert rotation matrices (..., 3, 3) to rotation vectors (..., 3) of length at most pi.

    It is accurate at every angle. At pi, where axis and negated axis are the same rotation, one of the two is given.
    """
    quaternion = to_quaternion(matrices)
    sine, cosine = np.linalg.norm(quaternion[..., :3], axis=-1), quaternion[..., 3]
    # angle / sin(angle / 2) tends to 2 at 0.
    scale = np.divide(2 * np.arctan2(sine, cosine), sine, out=np.full_like(sine, 2.0), where=sine > _SMALL**2)
    result: Array = quaternion[..., :3] * scale[..., None]
    return result


def to_quaternion(matrices: ArrayLike) -> Array:
    """Convert rotation matrices (..., 3, 3) to unit quaternions (..., 4) in the order x, y, z, w, with w >= 0.

    It is accurate at every angle: it begins with the quaternion's best conditioned component (Shepperd, "Quaternion
    from rotation matrix", 1978).
    """
    m = np.asarray(matrices, np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    xw, yw, zw = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    # 4 q qᵀ of the quaternion q = (x, y, z, w): each row is q, scaled by one of its components.
    outer = np.stack(
        [
            np.stack([1 + xx - yy - zz, xy, xz, xw], -1),
            np.stack([xy, 1 - xx + yy - zz, yz, yw], -1),
            np.stack([xz, yz, 1 - xx - yy + zz, zw], -1),
            np.stack([xw, yw, zw, 1 + xx + yy + zz], -1),
        ],
        -2,
    )
    best = np.diagonal(outer, axis1=-2, axis2=-1).argmax(-1)
    quaternion: Array = np.take_along_axis(outer, best[..., None, None], -2)[..., 0, :]
    quaternion /= np.linalg.norm(quaternion, axis=-1, keepdims=True)
    quaternion *= np.where(quaternion[..., 3:] < 0, -1.0, 1.0)
    return quaternion


def angle_between(first: ArrayLike, second: ArrayLike) -> Array:
    """Return the geodesic distance of rotation matrices (..., 3, 3), radians (...), 0 to pi."""
    relative = np.swapaxes(np.asarray(first, np.float64), -1, -2) @ np.asarray(second, np.float64)
    distance: Array = np.linalg.norm(log_so3(relative), axis=-1)
    return distance


def slerp(first: ArrayLike, second: ArrayLike, fraction: ArrayLike) -> Array:
    """Return the rotation (..., 3, 3) at this fraction (...) of the shortest way from the first to the second."""
    first = np.asarray(first, np.float64)
    step = log_so3(np.swapaxes(first, -1, -2) @ np.asarray(second, np.float64))
    return first @ exp_so3(np.asarray(fraction, np.float64)[..., None] * step)


def nearest_rotation(matrices: ArrayLike) -> Array:
    """Return the rotations (..., 3, 3) nearest to these matrices (Frobenius norm), to take drift out of products.

    This is the orthogonal Procrustes problem with determinant 1 (Kabsch 1976; Umeyama 1991).
    """
    u, _, vt = np.linalg.svd(np.asarray(matrices, np.float64))
    u[..., :, 2] *= np.linalg.det(u @ vt)[..., None]
    result: Array = u @ vt
    return result


def hat(vectors: ArrayLike) -> Array:
    """Return the skew-symmetric matrices (..., 3, 3) of vectors (..., 3), with hat(a) @ b = a x b."""
    v = np.asarray(vectors, np.float64)
    half = np.zeros((*v.shape, 3))
    half[..., 2, 1], half[..., 0, 2], half[..., 1, 0] = v[..., 0], v[..., 1], v[..., 2]
    result: Array = half - np.swapaxes(half, -1, -2)
    return result


def euler_zxy(matrices: ArrayLike) -> Array:
    """Return the angles (..., 3) a, b, c of rotations (..., 3, 3), R = Rz(a) Rx(b) Ry(c); b within -pi/2..pi/2.

    They are exact at b = ±pi/2 too, where many a and c are the same rotation: c takes what a leaves.
    """
    m = np.asarray(matrices, np.float64)
    a = np.arctan2(-m[..., 0, 1], m[..., 1, 1])
    b = np.arctan2(m[..., 2, 1], np.hypot(m[..., 2, 0], m[..., 2, 2]))
    sine, cosine = np.sin(a), np.cos(a)
    # The first row of Rz(a)ᵀ R.
    c = np.arctan2(cosine * m[..., 0, 2] + sine * m[..., 1, 2], cosine * m[..., 0, 0] + sine * m[..., 1, 0])
    result: Array = np.stack([a, b, c], -1)
    return result


def continuous_euler_zxy(matrices: ArrayLike, before: ArrayLike | None = None) -> Array:
    """Return `euler_zxy` of rotations that follow one another, (N, ..., 3, 3), each nearest to the one before it.

    Every rotation has two triples of angles, Rz(a) Rx(b) Ry(c) and Rz(a + pi) Rx(pi - b) Ry(c + pi), and each of them
    whole turns besides; at b = ±pi/2 it has any a, and c follows from it. `before` (..., 3) is what the first is to be
    near; without it, it has b within -pi/2..pi/2.
    """
    rotations = np.asarray(matrices, np.float64)
    angles = euler_zxy(rotations)
    last = angles[0] if before is None and len(angles) else np.asarray(before, np.float64)
    for i, (a, b, c) in enumerate(np.moveaxis(angles, -1, 1)):
        up = rotations[i, ..., 2, 1] > 0
        locked = np.abs(rotations[i, ..., 2, 1]) > 1 - 1e-9
        together = np.where(up, a + c, a - c)
        a = np.where(locked, last[..., 0], a)
        c = np.where(locked, np.where(up, together - a, a - together), c)
        one = np.stack([a, b, c], -1)
        other = np.stack([a + np.pi, np.pi - b, c + np.pi], -1)
        near, far = (last + np.remainder(each - last + np.pi, 2 * np.pi) - np.pi for each in (one, other))
        nearer = ((near - last) ** 2).sum(-1) <= ((far - last) ** 2).sum(-1)
        angles[i] = last = np.where(nearer[..., None], near, far)
    return angles
