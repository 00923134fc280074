"""The fit of a hand model to 21 landmarks: a closed-form start and a few Levenberg-Marquardt steps.

Unknown for each hand: the wrist's rotation and position in the camera frame, the finger angles, and an offset that puts
the origin-less 3D landmarks where they fit best. Residuals, in metres so that neither the picture's resolution nor the
hand's distance matters: where the model has a landmark minus the 3D one seen; the model's ray minus the one seen, times
the hand's distance; and, weakly, angles from the open hand's. Weights are Huber's, per landmark; limits are kept
exactly (an angle at its limit that wants beyond it is held for the step).
Everything is a right hand's: mirror a left hand's landmarks first. B hands are fitted together, in lockstep: with
arrays this small NumPy costs by the call, not by the number.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.hand import exp_so3, hat, nearest_rotation
from stages.reconstruction.landmarks.fingers import Fingers, PosedFingers

Array = NDArray[np.float64]

PALM = (0, 1, 5, 9, 13, 17)
"""Joints that move with the wrist."""


class Landmarks(NamedTuple):
    """What was seen of B right hands."""

    rays: Array  # (B, 21, 2): x / z and y / z
    points: Array  # (B, 21, 3) m, camera-aligned axes, any origin, scaled to the model's size


class Fit(NamedTuple):
    """B fitted right hands."""

    global_orient: Array  # (B, 3, 3)
    angles: Array  # (B, 5, 3, 3) radians, see `Fingers`
    wrist: Array  # (B, 3) m, camera frame
    ray_error: Array  # (B,) mean distance of the fitted landmarks' rays from those seen


class _State(NamedTuple):
    """Unknowns of B hands, and what follows from them."""

    fingers: PosedFingers
    orient: Array  # (B, 3, 3)
    angles: Array  # (B, 5, 3, 3)
    wrist: Array  # (B, 3)
    offset: Array  # (B, 3)
    turned: Array  # (B, 21, 3) where landmarks should be, about the wrist, camera axes
    residual: Array  # (B, 21, 5): 3D, then ray, in units of their scatter
    distance: Array  # (B, 21, 2) of the two residuals, in units of their scatter
    cost: Array  # (B,)


class LandmarkFit:
    """Fits hands of one model. Holds no state."""

    POINT_SCATTER = 0.008
    """m: of a 3D landmark."""
    RAY_SCATTER = 0.002
    """m, at the hand's distance: of a 2D landmark."""
    HUBER = 2.0
    """Scatters from which on a residual counts linearly."""
    ANGLE_SCATTER = 1 / 2
    """Of an angle about the open hand's, as a share of what its limits allow."""
    STEPS = 3

    def __init__(self, fingers: Fingers, offsets: Array) -> None:
        self._fingers, self._offsets = fingers, offsets
        scatter = self.ANGLE_SCATTER * np.maximum(fingers.most - fingers.least, 1e-3)
        self._angle_mean = np.clip(0.0, fingers.least, fingers.most)
        self._angle_precision = 1 / scatter**2

    def fit(self, landmarks: Landmarks, rest: Array) -> Fit:
        """Fit B hands whose rest joints (B, 21, 3), wrist frame, are known."""
        roots, bones = _chains(rest)
        state, depth = self._start(landmarks, rest, roots, bones)
        damping = np.full(len(rest), 1e-3)
        for _ in range(self.STEPS):
            turn, wrist, offset, angles = self._step(state, depth, damping)
            tried = self._evaluate(
                landmarks, depth, roots, bones,
                exp_so3(turn) @ state.orient,
                self._fingers.within_limits(state.angles + angles),
                state.wrist + wrist,
                state.offset + offset,
            )  # fmt: skip
            better = tried.cost < state.cost
            damping = np.where(better, damping / 5, damping * 10)
            state = _choose(better, tried, state)
        ray_error = state.distance[..., 1].mean(1) * self.RAY_SCATTER / depth
        return Fit(state.orient, state.angles, state.wrist, ray_error)

    def _start(self, landmarks: Landmarks, rest: Array, roots: Array, bones: Array) -> tuple[_State, Array]:
        """The closed form: palm, then finger by finger, then the translation. Also the hands' distance (B,) metres."""
        palm, seen = rest[:, PALM] + self._offsets[PALM, :], landmarks.points[:, PALM]
        centred = palm - palm.mean(1, keepdims=True)
        orient = nearest_rotation(seen.swapaxes(1, 2) @ centred)
        chains = landmarks.points[:, 1:].reshape(-1, 5, 4, 3)
        steps = np.diff(chains, axis=2) @ orient[:, None]  # rows: camera axes to wrist frame
        directions = steps / np.maximum(np.linalg.norm(steps, axis=-1, keepdims=True), 1e-9)
        angles = self._fingers.closed_form(directions)
        turned = self._landmarks(self._fingers.pose(angles, roots, bones)) @ orient.swapaxes(1, 2)
        wrist = translation_from_rays(turned, landmarks.rays)
        depth = np.maximum((turned[..., 2] + wrist[:, None, 2]).mean(1), NEAREST)
        offset = (turned - landmarks.points).mean(1)
        return self._evaluate(landmarks, depth, roots, bones, orient, angles, wrist, offset), depth

    def _evaluate(
        self, landmarks: Landmarks, depth: Array, roots: Array, bones: Array,
        orient: Array, angles: Array, wrist: Array, offset: Array,
    ) -> _State:  # fmt: skip
        fingers = self._fingers.pose(angles, roots, bones)
        turned = self._landmarks(fingers) @ orient.swapaxes(1, 2)
        points = turned + wrist[:, None]
        residual = np.empty((*turned.shape[:2], 5))
        residual[..., :3] = (turned - landmarks.points - offset[:, None]) / self.POINT_SCATTER
        rays = points[..., :2] / np.maximum(points[..., 2:], NEAREST)
        residual[..., 3:] = (rays - landmarks.rays) * (depth / self.RAY_SCATTER)[:, None, None]
        squares = residual * residual
        distance = np.sqrt(np.stack([squares[..., :3].sum(-1), squares[..., 3:].sum(-1)], -1))
        prior = (self._angle_precision * (angles - self._angle_mean) ** 2).sum((1, 2, 3))
        huber = np.where(distance < self.HUBER, distance**2, self.HUBER * (2 * distance - self.HUBER))
        cost = huber.sum((1, 2)) + prior
        return _State(fingers, orient, angles, wrist, offset, turned, residual, distance, cost)

    def _step(self, state: _State, depth: Array, damping: Array) -> tuple[Array, Array, Array, Array]:
        """One damped Gauss-Newton step: turn (B, 3), wrist (B, 3), offset (B, 3) and angles (B, 5, 3, 3)."""
        count = len(depth)
        weight = np.sqrt(np.minimum(1, self.HUBER / np.maximum(state.distance, 1e-9)))
        by_point = self._slopes(state, depth, weight)
        residual = state.residual * weight[..., [0, 0, 0, 1, 1]]

        shared = np.zeros((count, 21, 5, 9))  # turn, wrist, offset
        shared[..., :3] = by_point @ hat(state.turned).swapaxes(-1, -2)
        shared[..., 3:, 3:6] = by_point[..., 3:, :]
        shared[..., :3, 6:] = -by_point[..., :3, :]

        camera_axes = state.orient[:, None, None] @ self._fingers.jacobian(state.fingers)  # (B, 5, 3, 3, 9)
        own = (by_point[:, 1:].reshape(count, 5, 4, 5, 3)[:, :, 1:] @ camera_axes).reshape(count, 5, 15, 9)
        own_residual = residual[:, 1:].reshape(count, 5, 4, 5)[:, :, 1:].reshape(count, 5, 15, 1)
        own_shared = shared[:, 1:].reshape(count, 5, 4, 5, 9)[:, :, 1:].reshape(count, 5, 15, 9)

        precision = self._angle_precision.reshape(5, 9)
        gradient = (own.swapaxes(2, 3) @ own_residual)[..., 0]
        gradient += precision * (state.angles - self._angle_mean).reshape(count, 5, 9)
        angles = state.angles.reshape(count, 5, 9)
        least, most = self._fingers.least.reshape(5, 9), self._fingers.most.reshape(5, 9)
        free = np.where(gradient > 0, angles > least, angles < most).astype(float)
        own *= free[:, :, None]
        gradient *= free

        raise_by = (1 + damping)[:, None, None]
        normal = own.swapaxes(2, 3) @ own
        diagonal = np.arange(9)
        normal[..., diagonal, diagonal] = (normal[..., diagonal, diagonal] + precision) * raise_by
        # The fingers meet only in the wrist's unknowns: eliminate each finger's angles (Schur complement).
        coupled = own.swapaxes(2, 3) @ own_shared
        solved = np.linalg.solve(normal, np.concatenate([coupled, gradient[..., None]], -1))
        flat = shared.reshape(count, 105, 9)
        system = flat.swapaxes(1, 2) @ flat
        system[:, diagonal, diagonal] *= raise_by[:, 0]
        right = flat.swapaxes(1, 2) @ residual.reshape(count, 105, 1)
        reduced = (coupled.swapaxes(2, 3) @ solved).sum(1)
        wrist_step = -np.linalg.solve(system - reduced[..., :9], right - reduced[..., 9:])[..., 0]
        angle_step = -solved[..., 9] - (solved[..., :9] @ wrist_step[:, None, :, None])[..., 0]
        return wrist_step[:, :3], wrist_step[:, 3:6], wrist_step[:, 6:], (free * angle_step).reshape(count, 5, 3, 3)

    def _slopes(self, state: _State, depth: Array, weight: Array) -> Array:
        """Derivative (B, 21, 5, 3) of the weighted residuals by the landmarks' positions."""
        points = state.turned + state.wrist[:, None]
        slopes = np.zeros((len(depth), 21, 5, 3))
        slopes[..., 0, 0] = slopes[..., 1, 1] = slopes[..., 2, 2] = weight[..., 0] / self.POINT_SCATTER
        inverse = 1 / np.maximum(points[..., 2], NEAREST)
        of_ray = weight[..., 1] * inverse * (depth / self.RAY_SCATTER)[:, None]
        slopes[..., 3, 0] = slopes[..., 4, 1] = of_ray
        slopes[..., 3:, 2] = -points[..., :2] * (inverse * of_ray)[..., None]
        return slopes

    def _landmarks(self, fingers: PosedFingers) -> Array:
        """All 21 landmarks (B, 21, 3), wrist frame."""
        landmarks = np.empty((len(fingers.landmarks), 21, 3))
        landmarks[:, 0] = self._offsets[0]
        landmarks[:, 1:] = fingers.landmarks.reshape(-1, 20, 3)
        return landmarks


NEAREST = 0.02
"""m: no hand is seen nearer than this; it keeps divisions by depth sane."""


def translation_from_rays(points: Array, rays: Array) -> Array:
    """t (B, 3) that brings points (B, N, 3) of known form onto rays (B, N, 2), by linear least squares.

    (x + t_x) - u (z + t_z) = 0 and its like in y, for every point.
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


def _chains(rest: Array) -> tuple[Array, Array]:
    """Rest joints (B, 21, 3) -> first joints (B, 5, 3) and bones (B, 5, 3, 3) of the fingers."""
    chains = rest[:, 1:].reshape(-1, 5, 4, 3)
    return chains[:, :, 0], np.diff(chains, axis=2)


def _choose(which: NDArray[np.bool_], a: _State, b: _State) -> _State:
    """State of `a` for the hands of `which` (B,), of `b` for the others."""
    if which.all():
        return a

    def merge(x: Array, y: Array) -> Array:
        return np.where(which.reshape(-1, *[1] * (x.ndim - 1)), x, y)

    fingers = PosedFingers(*map(merge, a.fingers, b.fingers))
    return _State(fingers, *map(merge, a[1:], b[1:]))
