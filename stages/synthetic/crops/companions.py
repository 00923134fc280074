"""A second hand beside the first, and things that come before it."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hamba_core.hand import MIRROR
from stages.synthetic.crops.draws import chance, log_uniform
from stages.synthetic.crops.figure import Stance
from stages.synthetic.crops.posing import Kinematics, Thing, random_thing, solid_points

Array = NDArray[np.float64]

SEPARATIONS = np.linspace(0, 0.3, 51)
"""Metres of the places that are tried, nearest first."""


def second_hand(
    kinematics: Kinematics, first: Stance, angles: Array, left: bool, rng: np.random.Generator
) -> Stance | None:
    """Return where another hand, held like `angles`, (nearly) touches the first; none if it would be at the lens.

    A left hand's stance is in the mirror frame: the camera frame with x flipped.
    """
    if chance(rng, 0.6):  # both hands of a person do the same, more or less
        R = Rotation.from_rotvec(rng.normal(0, 0.6, 3)).as_matrix() @ first.R_hand
        elbow = first.elbow + rng.normal(0, 0.4, 3)
    else:
        R = Rotation.random(random_state=rng).as_matrix()
        elbow = rng.normal(0, 0.5, 3) - R[:, 1]
    elbow /= np.linalg.norm(elbow)
    mirror = MIRROR if left else np.eye(3)
    own, radii = solid_points(kinematics.joints(first.angles[None]), kinematics.thickness)
    others, _ = solid_points(kinematics.joints(angles[None]), kinematics.thickness)
    mine = own[0] @ first.R_hand.T + first.wrist
    theirs = others[0] @ R.T @ mirror
    aim, touch = mine[rng.integers(len(mine))], theirs[rng.integers(len(theirs))]
    direction = rng.normal(0, 1, 3) * (1, 1, 0.8)
    direction /= np.linalg.norm(direction)
    gap = 0.0 if chance(rng, 0.6) else log_uniform(rng, 0.003, 0.08)
    moved = theirs - touch + aim + SEPARATIONS[:, None, None] * direction  # (T, N, 3)
    squares = (moved**2).sum(2)[:, :, None] + (mine**2).sum(1) - 2 * moved @ mine.T
    apart = np.sqrt(np.maximum(squares, 0)) - 0.9 * (radii[:, None] + radii)
    clear = apart.min((1, 2)) >= gap
    if not clear.any():
        return None
    at = float(SEPARATIONS[int(np.argmax(clear))])
    wrist = (aim - touch + at * direction) @ mirror
    return Stance(angles, R, wrist, elbow) if (moved[int(np.argmax(clear)), :, 2] > 0.1).all() else None


def things_before(joints: Array, rng: np.random.Generator) -> list[Thing]:
    """Return one or two things between the camera and joints (21, 3), that hide a part of the hand."""
    things = []
    reach = float(np.linalg.norm(joints - joints.mean(0), axis=1).max())
    for _ in range(1 + int(chance(rng, 0.3))):
        aim = joints[rng.integers(21)] + rng.normal(0, 0.35 * reach, 3) * (1, 1, 0)
        nearest = float(joints[:, 2].min()) - 0.02
        share = min(rng.uniform(0.55, 0.95), max(nearest / aim[2], 0.3))
        things.append(random_thing(rng, aim * share, 0.085 * share))
    return [thing for thing in things if thing.distance(joints).min() > 0.012]
