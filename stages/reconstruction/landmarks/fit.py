"""The fit of a hand model to 21 landmarks: a closed-form start and a few Levenberg-Marquardt steps.

The start trusts the 3D landmarks. Where that puts a hand far from the 2D ones, the detector contradicts itself, and the
hand's pose in the frame before may be the better start. Hands that are not near after a few steps get more.

Unknown for each hand: the wrist's rotation and position in the camera frame, the finger angles, and an offset that puts
the origin-less 3D landmarks where they fit best. Residuals, in metres so that neither the picture's resolution nor the
hand's distance matters: where the model has a landmark minus the 3D one seen; the model's ray minus the one seen, times
the hand's distance; and, weakly, angles from the open hand's. Weights are Huber's, per landmark; limits are kept
exactly (an angle at its limit that wants beyond it is held for the step).
Everything is a right hand's: mirror a left hand's landmarks first. B hands are fitted together, in lockstep: with
arrays this small NumPy costs by the call, not by the number.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hamba_core.arrays import Array, BoolArray, Int64Array
from hamba_core.hand import exp_so3, hat, nearest_rotation
from stages.reconstruction.landmarks.fingers import Fingers, PosedFingers
from stages.reconstruction.landmarks.placement import NEAREST, placement
from stages.reconstruction.landmarks.selection import choose, put, take

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
    ray_error: Array  # (B,) mean distance of the fitted landmarks' rays from those seen, as a share of the hand's size
    turned: Array  # (B, 21, 3) m, the fitted landmarks about the wrist, camera axes


class Pose(NamedTuple):
    """How a hand was fitted."""

    global_orient: Array  # (3, 3)
    angles: Array  # (5, 3, 3) radians


class _Problem(NamedTuple):
    """What is known of B hands while they are fitted."""

    rays: Array  # (B, 21, 2)
    points: Array  # (B, 21, 3)
    roots: Array  # (B, 5, 3)
    bones: Array  # (B, 5, 3, 3)
    depth: Array  # (B,) m, about where the hand is
    size: Array  # (B,) of the hand in rays: the diagonal of its box


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
    CONTRADICTION = 0.15
    """Of the hand's size: from a start whose rays are this far off on average the steps seldom lead anywhere."""
    NEAR = (0.05, 0.12)
    """Of the hand's size: a hand whose rays are this near on average, and each of them, is found."""
    MORE_STEPS = 15
    """For a hand that is not; 3 where its pose in the frame before is known, because the next frame goes on."""

    def __init__(self, fingers: Fingers, offsets: Array, point_scatter: float = POINT_SCATTER) -> None:
        self._fingers, self._offsets, self._point_scatter = fingers, offsets, point_scatter
        scatter = self.ANGLE_SCATTER * np.maximum(fingers.most - fingers.least, 1e-3)
        self._angle_mean = np.clip(0.0, fingers.least, fingers.most)
        self._angle_precision = 1 / scatter**2

    def fit(
        self,
        landmarks: Landmarks,
        rest: Array,
        tracks: Sequence[Hashable] = (),
        last: dict[Hashable, Pose] | None = None,
    ) -> Fit:
        """Fit B hands whose rest joints (B, 21, 3), wrist frame, are known.

        `tracks` tells whose hand each is, in order of time, and `last` how they were in the frame before: it is brought
        up to date.
        """
        last = {} if last is None else last
        problem, state = self._begin(landmarks, rest, *self._closed_form(landmarks, rest))
        before = _places_before(tracks or range(len(rest)))
        unsure = self._ray_errors(problem, state).mean(1) > self.CONTRADICTION
        done = np.zeros(len(rest), bool)
        while not done.all():
            ready = ~done
            if unsure.any():
                # An unsure hand waits for the track's hand before it.
                ready &= ~unsure | (before < 0) | done[before]
                hints = {
                    i: _pose(state, before[i]) if before[i] >= 0 else last[tracks[i]]
                    for i in np.flatnonzero(ready & unsure).tolist()
                    if before[i] >= 0 or (tracks and tracks[i] in last)
                }
                if hints:
                    problem, state = self._with_hints(problem, state, landmarks, rest, hints)
            state = put(ready, self._descend(take(ready, problem), take(ready, state)), state)
            errors = self._ray_errors(problem, state)
            astray = ready & ((errors.mean(1) > self.NEAR[0]) | (errors.max(1) > self.NEAR[1]))
            if astray.any():
                fresh = [before[i] < 0 and not (tracks and tracks[i] in last) for i in range(len(rest))]
                state = self._descend_further(astray, np.array(fresh), problem, state)
                errors = self._ray_errors(problem, state)
            done |= ready
        last.update((track, _pose(state, i)) for i, track in enumerate(tracks))
        return Fit(state.orient, state.angles, state.wrist, errors.mean(1), state.turned)

    def placed(self, landmarks: Landmarks, rest: Array, pose: Pose) -> Fit:
        """Return one hand in this pose where its rays are, without any fitting."""
        problem, state = self._begin(landmarks, rest, pose.global_orient[None], pose.angles[None])
        errors = self._ray_errors(problem, state).mean(1)
        return Fit(state.orient, state.angles, state.wrist, errors, state.turned)

    def _with_hints(
        self, problem: _Problem, state: _State, landmarks: Landmarks, rest: Array, hints: dict[int, Pose]
    ) -> tuple[_Problem, _State]:
        """Start hands from the poses in `hints`, which go by the hands' places, where that is the better start."""
        places = np.array(list(hints))
        orient, angles = (np.stack(field) for field in zip(*hints.values(), strict=True))
        hinted = self._begin(Landmarks(*(field[places] for field in landmarks)), rest[places], orient, angles)
        better = hinted[1].cost < state.cost[places]
        which = np.zeros(len(rest), bool)
        which[places[better]] = True
        return put(which, take(better, hinted[0]), problem), put(which, take(better, hinted[1]), state)

    def _descend_further(self, astray: BoolArray, fresh: BoolArray, problem: _Problem, state: _State) -> _State:
        """Step hands that are astray: once, but `fresh` ones, which have no frame before, until they are near."""
        for _ in range(0, self.MORE_STEPS, self.STEPS):
            state = put(astray, self._descend(take(astray, problem), take(astray, state)), state)
            errors = self._ray_errors(problem, state)
            astray = astray & fresh & ((errors.mean(1) > self.NEAR[0]) | (errors.max(1) > self.NEAR[1]))
            if not astray.any():
                break
        return state

    def _closed_form(self, landmarks: Landmarks, rest: Array) -> tuple[Array, Array]:
        """Return the wrist's rotations (B, 3, 3) and finger angles (B, 5, 3, 3) of the 3D landmarks, palm first."""
        palm, seen = rest[:, PALM] + self._offsets[PALM, :], landmarks.points[:, PALM]
        centred = palm - palm.mean(1, keepdims=True)
        orient = nearest_rotation(seen.swapaxes(1, 2) @ centred)
        chains = landmarks.points[:, 1:].reshape(-1, 5, 4, 3)
        steps = np.diff(chains, axis=2) @ orient[:, None]  # rows: camera axes to wrist frame
        directions = steps / np.maximum(np.linalg.norm(steps, axis=-1, keepdims=True), 1e-9)
        return orient, self._fingers.closed_form(directions)

    def _begin(self, landmarks: Landmarks, rest: Array, orient: Array, angles: Array) -> tuple[_Problem, _State]:
        """Put hands of these poses where the rays are."""
        rays, points = landmarks
        roots, bones = _chains(rest)
        fingers = self._fingers.pose(angles, roots, bones)
        turned = self._landmarks(fingers) @ orient.swapaxes(1, 2)
        size = np.maximum(np.hypot(*np.ptp(rays, axis=1).T), 1e-9)
        wrist = placement(turned, rays, size)
        depth = np.maximum(turned[..., 2].mean(1) + wrist[:, 2], NEAREST)
        problem = _Problem(rays, points, roots, bones, depth, size)
        return problem, self._evaluate(problem, fingers, orient, turned, angles, wrist, (turned - points).mean(1))

    def _descend(self, problem: _Problem, state: _State) -> _State:
        """Take `STEPS` damped Gauss-Newton steps, each kept where it makes the cost less."""
        damping = np.full(len(problem.depth), 1e-3)
        for _ in range(self.STEPS):
            turn, wrist, offset, angles = self._step(state, problem.depth, damping)
            orient = exp_so3(turn) @ state.orient
            angles = self._fingers.within_limits(state.angles + angles)
            fingers = self._fingers.pose(angles, problem.roots, problem.bones)
            turned = self._landmarks(fingers) @ orient.swapaxes(1, 2)
            tried = self._evaluate(problem, fingers, orient, turned, angles, state.wrist + wrist, state.offset + offset)
            better = tried.cost < state.cost
            damping = np.where(better, damping / 5, damping * 10)
            state = choose(better, tried, state)
        return state

    def _ray_errors(self, problem: _Problem, state: _State) -> Array:
        """Return the distances (B, 21) of rays from those seen, as shares of the hand's size."""
        errors: Array = state.distance[..., 1] * (self.RAY_SCATTER / (problem.depth * problem.size))[:, None]
        return errors

    def _evaluate(
        self, problem: _Problem, fingers: PosedFingers,
        orient: Array, turned: Array, angles: Array, wrist: Array, offset: Array,
    ) -> _State:  # fmt: skip
        points = turned + wrist[:, None]
        residual = np.empty((*turned.shape[:2], 5))
        residual[..., :3] = (turned - problem.points - offset[:, None]) / self._point_scatter
        rays = points[..., :2] / np.maximum(points[..., 2:], NEAREST)
        residual[..., 3:] = (rays - problem.rays) * (problem.depth / self.RAY_SCATTER)[:, None, None]
        squares = residual * residual
        distance = np.sqrt(np.stack([squares[..., :3].sum(-1), squares[..., 3:].sum(-1)], -1))
        prior = (self._angle_precision * (angles - self._angle_mean) ** 2).sum((1, 2, 3))
        huber = np.where(distance < self.HUBER, distance**2, self.HUBER * (2 * distance - self.HUBER))
        cost = huber.sum((1, 2)) + prior
        return _State(fingers, orient, angles, wrist, offset, turned, residual, distance, cost)

    def _step(self, state: _State, depth: Array, damping: Array) -> tuple[Array, Array, Array, Array]:
        """Return one damped Gauss-Newton step: turn (B, 3), wrist (B, 3), offset (B, 3) and angles (B, 5, 3, 3)."""
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
        """Return the derivative (B, 21, 5, 3) of the weighted residuals by the landmarks' positions."""
        points = state.turned + state.wrist[:, None]
        slopes = np.zeros((len(depth), 21, 5, 3))
        slopes[..., 0, 0] = slopes[..., 1, 1] = slopes[..., 2, 2] = weight[..., 0] / self._point_scatter
        inverse = 1 / np.maximum(points[..., 2], NEAREST)
        of_ray = weight[..., 1] * inverse * (depth / self.RAY_SCATTER)[:, None]
        slopes[..., 3, 0] = slopes[..., 4, 1] = of_ray
        slopes[..., 3:, 2] = -points[..., :2] * (inverse * of_ray)[..., None]
        return slopes

    def _landmarks(self, fingers: PosedFingers) -> Array:
        """Return all 21 landmarks (B, 21, 3), wrist frame."""
        landmarks = np.empty((len(fingers.landmarks), 21, 3))
        landmarks[:, 0] = self._offsets[0]
        landmarks[:, 1:] = fingers.landmarks.reshape(-1, 20, 3)
        return landmarks


def _chains(rest: Array) -> tuple[Array, Array]:
    """Return the fingers' first joints (B, 5, 3) and bones (B, 5, 3, 3) for rest joints (B, 21, 3)."""
    chains = rest[:, 1:].reshape(-1, 5, 4, 3)
    return chains[:, :, 0], np.diff(chains, axis=2)


def _places_before(tracks: Iterable[Hashable]) -> Int64Array:
    """Return, for each of these, the place of the last one before it that is the same; -1 if there is none."""
    seen: dict[Hashable, int] = {}
    places = []
    for i, track in enumerate(tracks):
        places.append(seen.get(track, -1))
        seen[track] = i
    return np.array(places, np.int64)


def _pose(state: _State, place: int) -> Pose:
    return Pose(state.orient[place], state.angles[place])
