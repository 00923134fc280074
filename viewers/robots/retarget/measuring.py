"""How well a robot hand follows: fingertips against where they are to be, and against the best that it can reach.

A robot with fewer joints, or other lengths, than a person cannot be everywhere. The best it can reach is looked for
frame by frame, from several starts, by least squares with bounds (SciPy); what a solver is worse than that is its own.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from hamba_core.arrays import Array, Int64Array
from viewers.robots.retarget.kinematics import RobotModel
from viewers.robots.retarget.robot_hands import RobotHand
from viewers.robots.retarget.solver import tip_vectors

_STEP = 1e-5  # rad, of differences


class Following(NamedTuple):
    """How well one robot hand followed, in the frames in which it did."""

    frames: int
    error: float  # mm, mean over fingertips and frames, of what came out
    solved: float  # mm, of what the solver gave, before smoothing and limits of speed
    reachable: float  # mm, of the best that was found, in the frames that were looked at; NaN where none was
    solved_there: float  # mm, `solved` in those frames
    jerkiness: float  # rad/s², root of the mean square of the joints' accelerations
    fastest: float  # of the joints' limits of speed, the highest share that was used
    step_ms: float  # of the processor, median of a step of all sides
    slow_step_ms: float  # 95th percentile


def tip_errors(hand: RobotHand, model: RobotModel, wanted: Array, positions: Array) -> Array:
    """Return distances (tips,) m of fingertips from where they are to be, `wanted` (tips, 3) m from the wrist."""
    errors: Array = np.linalg.norm(tip_vectors(hand, model, positions) - wanted, axis=-1)
    return errors


def best_reachable(hand: RobotHand, model: RobotModel, wanted: Array, starts: Iterable[Array]) -> Array:
    """Return the positions (n,) whose fingertips are nearest to where they are to be, as far as they were found.

    Every start is positions (n,); what is best in the mean of the fingertips' distances counts.
    """
    from scipy.optimize import least_squares

    limits, moved = model.limits(), _moved(hand, model)

    lower, upper = limits[moved].T

    def whole(free: Array) -> Array:
        positions = np.zeros((*free.shape[:-1], len(limits)))
        positions[..., moved] = free
        return model.coupled(positions)

    def residuals(free: Array) -> Array:
        result: Array = (tip_vectors(hand, model, whole(free)) - wanted).reshape(*free.shape[:-1], -1)
        return result

    def slopes(free: Array) -> Array:
        steps = free + _STEP * np.eye(len(free))
        result: Array = ((residuals(steps) - residuals(free)) / _STEP).T
        return result

    best, least = np.zeros(len(limits)), np.inf
    for start in starts:
        inside = np.clip(start[moved], limits[moved, 0] + 1e-6, limits[moved, 1] - 1e-6)
        found = least_squares(residuals, inside, slopes, (lower, upper), xtol=1e-6, ftol=1e-6, max_nfev=60)
        positions = whole(found.x)
        error = float(tip_errors(hand, model, wanted, positions).mean())
        if error < least:
            best, least = positions, error
    return best


def _moved(hand: RobotHand, model: RobotModel) -> Int64Array:
    """Return which of the joints are free to move."""
    limits, names = model.limits(), model.names
    return np.array(
        [
            place
            for place in model.free()
            if limits[place, 0] < limits[place, 1] and (hand.joints is None or names[place] in hand.joints)
        ]
    )
