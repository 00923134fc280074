"""Pose a hand model so that points of it come to lie at given places: Gauss-Newton steps over its 16 rotations.

A small turn of a joint moves everything beyond it about the joint. So the derivative of a point by the turn of joint j,
world axes, is a cross product with its arm: the weighted mean of where the joints at and beyond j carry the point,
about j. The normal equations are then sums over outer products of arms, one matrix product for all joints.
"""

from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand.hand_model import HandModel
from hamba_core.hand.kinematics import along_fingers
from hamba_core.hand.rotations import exp_so3, hat
from hamba_core.hand.skeleton import JOINT_PARENTS, JOINTS_FROM_MODEL, MODEL_PARENTS

_DAMPING: Final = 1e-4
"""Of the mean diagonal of the normal equations: turns that hardly any point tells stay small."""

_ACROSS: Final = 0.1


class Pose(NamedTuple):
    """B right hands' poses."""

    global_orient: Array  # (B, 3, 3)
    hand_pose: Array  # (B, 15, 3, 3)
    translation: Array  # (B, 3) m


class RestPoints(NamedTuple):
    """N points of B resting hands, and how much of each moves with which joint."""

    places: Array  # (B, N, 3) m
    weights: Array  # (N, 16), rows sum to 1
    joints: Array  # (B, 16, 3) m


def surface_points(model: HandModel, betas: Array, hand_pose: Array) -> RestPoints:
    """Return a model's vertices at rest, of shapes (B, 10), with the correctives of poses (B, 15, 3, 3)."""
    places = model.v_template + np.einsum("vck,bk->bvc", model.shapedirs, betas)
    if model.posedirs.any():
        bent = (hand_pose - np.eye(3)).reshape(-1, 135)
        places = places + np.einsum("vcp,bp->bvc", model.posedirs, bent)
    return RestPoints(places, model.weights, model.rest_joints(betas))


def joint_points(model: HandModel, betas: Array) -> RestPoints:
    """Return a model's 21 joints at rest, of shapes (B, 10), in joint order; each moves with the joint before it."""
    places = np.stack([model.rest_joints_21(each) for each in betas])
    weights = np.zeros((21, 16))
    for joint, parent in enumerate(JOINT_PARENTS):
        weights[joint, JOINTS_FROM_MODEL[max(parent, 0)]] = 1
    return RestPoints(places, weights, model.rest_joints(betas))


def fit_step(points: RestPoints, targets: Array, weights: Array, pose: Pose) -> Pose:
    """Return poses whose points lie nearer to targets (B, N, 3) m, which count by weights (N,)."""
    rotations, arms, residual = _arms(points, targets, pose)
    count = len(targets)
    weighted = arms * weights

    rows, columns = weighted.reshape(count, 48, -1), np.concatenate([arms.reshape(count, 48, -1), residual], 1)
    # One by one: NumPy does not give products of transposed stacks to BLAS.
    products = np.stack([row @ column.T for row, column in zip(rows, columns, strict=True)])  # (B, 48, 51)
    moments = products[..., :48].reshape(count, 16, 3, 16, 3)
    # hat(a)ᵀ hat(b) = (a · b) I - b aᵀ
    dots = np.trace(moments, axis1=2, axis2=4)
    turns = dots[:, :, None, :, None] * np.eye(3)[:, None] - moments.transpose(0, 1, 4, 3, 2)
    crossed = hat(weighted.sum(-1)).reshape(count, 48, 3)
    system = np.zeros((count, 51, 51))
    system[:, :48, :48] = turns.reshape(count, 48, 48)
    system[:, :48, 48:], system[:, 48:, :48] = crossed, crossed.swapaxes(1, 2)
    turning, moving = np.arange(48), np.arange(48, 51)
    system[:, moving, moving] = weights.sum()
    system[:, turning, turning] += _DAMPING * system[:, turning, turning].mean(1, keepdims=True)
    # a × r, summed: what is off the diagonal of Σ a rᵀ
    torques = products[..., 48:].reshape(count, 16, 3, 3)
    gradient = np.concatenate(
        [(torques[..., [1, 2, 0], [2, 0, 1]] - torques[..., [2, 0, 1], [1, 2, 0]]).reshape(count, 48),
         (residual * weights).sum(-1)], 1,
    )  # fmt: skip
    step = np.linalg.solve(system, gradient[..., None])[..., 0]
    return _moved(pose, rotations, step)


def shape_step(
    model: HandModel, betas: Array, targets: Array, weights: Array, across: Array, pose: Pose, stiffness: float
) -> tuple[Pose, Array]:
    """Return a pose and betas (10,) of one hand whose vertices lie nearer to targets (1, V, 3), all solved together.

    Distances count by `weights` (V,) along each vertex's normal, and by a tenth of that across it, so that a vertex
    slides along the surface that it lies on. `across` (V, 3, 3) does that to vectors, see `sliding`. A beta costs its
    square times `stiffness`, m².
    """
    points = surface_points(model, betas[None], pose.hand_pose)
    rotations, arms, residual = _arms(points, targets, pose)
    turned = arms[0].transpose(2, 0, 1)  # (V, 16, 3)
    turns = -hat(turned).transpose(0, 2, 1, 3).reshape(-1, 3, 48)
    vertices = model.pose(pose.global_orient[0], pose.hand_pose[0], betas, pose.translation[0]).vertices
    shapes = np.stack(
        [
            model.pose(pose.global_orient[0], pose.hand_pose[0], betas + beta, pose.translation[0]).vertices - vertices
            for beta in np.eye(10)
        ],
        -1,
    )
    moves = np.broadcast_to(np.eye(3), (len(vertices), 3, 3))
    slopes = across @ np.concatenate([turns, moves, shapes], -1)  # (V, 3, 61)
    left = across @ residual[0].T[..., None]
    share = (weights / weights.sum())[:, None, None]
    system = np.einsum("vxk,vxl->kl", slopes * share, slopes)
    gradient = np.einsum("vxk,vx->k", slopes * share, left[..., 0])
    turning, shaping = np.arange(48), np.arange(51, 61)
    system[turning, turning] += _DAMPING * system[turning, turning].mean()
    system[shaping, shaping] += stiffness
    gradient[shaping] -= stiffness * betas
    step = np.linalg.solve(system, gradient)
    return _moved(pose, rotations, step[None, :51]), betas + step[51:]


def sliding(normals: Array) -> Array:
    """Return matrices (N, 3, 3) that keep what is along unit normals (N, 3) and a tenth of what is across them."""
    along = normals[:, :, None] * normals[:, None]
    return _ACROSS * np.eye(3) + (1 - _ACROSS) * along


def _arms(points: RestPoints, targets: Array, pose: Pose) -> tuple[Array, Array, Array]:
    """Return the joints' rotations (B, 16, 3, 3), the points' arms (B, 16, 3, N), and how far they are off (B, 3, N).

    Points come last: long runs in memory.
    """
    rotations, positions = _chain(points.joints, pose)
    places = np.ascontiguousarray(points.places.swapaxes(1, 2))[:, None] - points.joints[..., None]  # (B, 16, 3, N)
    carried = (rotations @ places + positions[..., None]) * np.ascontiguousarray(points.weights.T)[:, None]
    residual = targets.swapaxes(1, 2) - carried.sum(1)
    arms: Array = (_BEYOND @ carried.reshape(len(targets), 16, -1)).reshape(carried.shape)
    arms -= (_BEYOND @ points.weights.T)[:, None] * positions[..., None]
    return rotations, arms, residual


def _chain(joints: Array, pose: Pose) -> tuple[Array, Array]:
    """Return the joints' rotations (B, 16, 3, 3) and positions (B, 16, 3) in the world."""
    rotations, positions = np.empty((*joints.shape, 3)), np.empty(joints.shape)
    rotations[:, 0], positions[:, 0] = pose.global_orient, joints[:, 0]
    for i, (rotation, position) in enumerate(along_fingers(pose.global_orient, pose.hand_pose, joints), 1):
        rotations[:, i::3], positions[:, i::3] = rotation, position
    return rotations, positions + pose.translation[:, None]


def _moved(pose: Pose, rotations: Array, step: Array) -> Pose:
    """Turn each joint, about world axes, by its part of the step (B, 51), and move the hand by the rest."""
    turns = step[:, :48].reshape(-1, 16, 3)
    before = rotations[:, list(MODEL_PARENTS[1:])]
    local = np.einsum("bjyx,bjy->bjx", before, turns[:, 1:])  # in the axes of the joint before
    return Pose(
        exp_so3(turns[:, 0]) @ pose.global_orient,
        exp_so3(local) @ pose.hand_pose,
        pose.translation + step[:, 48:],
    )


def _beyond() -> Array:
    """Return (16, 16): 1 where the second joint is the first one or lies beyond it."""
    beyond = np.eye(16)
    for joint in range(15, 0, -1):
        beyond[MODEL_PARENTS[joint]] += beyond[joint]
    return beyond


_BEYOND: Final = _beyond()
