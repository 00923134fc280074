"""A hand's shape from the lengths of its bones, steadied along a track.

Lengths are those of the 20 bones and of the spans between neighbouring knuckles, which stay as the hand moves. The
detector's are noisy from frame to frame, and their common scale is a guess (a picture does not tell a small hand from
a far one). So what is taken from them is their running robust mean, and betas are the most probable ones under MANO's
prior (each beta a standard normal) with the common scale as one more unknown.
"""

from dataclasses import dataclass

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import BONES, HandModel

SPANS = (*BONES, (1, 5), (5, 9), (9, 13), (13, 17))
"""(24, 2) pairs of the 21 joints whose distance is the hand's shape: bones, thumb to index, knuckle to knuckle."""

_STARTS, _ENDS = np.array(SPANS).T


def span_lengths(joints: Array) -> Array:
    """Return the lengths (..., 24), metres, of `SPANS` for joints (..., 21, 3), metres."""
    steps = joints[..., _ENDS, :] - joints[..., _STARTS, :]
    lengths: Array = np.sqrt((steps * steps).sum(-1))
    return lengths


MOST = 3.0
"""Largest beta given: beyond it no hand is left."""


@dataclass
class RunningLengths:
    """A robust running mean of a track's span lengths.

    After `memory` frames the mean forgets old ones, so that it can follow a track that changed hands.
    """

    lengths: Array  # (24,) m
    frames: int = 1
    memory: int = 150

    def add(self, lengths: Array, noise: float) -> None:
        """Take one frame's lengths (24,); a length further than `noise` metres from the mean moves it no further."""
        self.frames = min(self.frames + 1, self.memory)
        self.lengths = self.lengths + np.clip(lengths - self.lengths, -noise, noise) / self.frames


class ShapeFromLengths:
    """Betas of a hand model from span lengths.

    `offsets` (21, 3), metres, lead from the model's joints to the detector's landmarks in the rest pose.
    """

    BIAS = 0.006
    """m: how far a detector's mean length is from the model's for the same hand (different joint definitions)."""
    NOISE = 0.008
    """m: scatter of one frame's length about its mean."""
    SCALE = 0.3
    """Relative scatter of the detector's common scale, so wide that size stays near the mean hand's."""

    def __init__(self, model: HandModel, offsets: Array) -> None:
        rest = model.rest_joints_21(np.zeros(10))
        by_beta = np.stack([model.rest_joints_21(beta) - rest for beta in np.eye(10)], -1)  # (21, 3, 10)
        mean = rest + offsets
        steps = mean[_ENDS] - mean[_STARTS]
        self.mean_lengths: Array = np.linalg.norm(steps, axis=1)
        """(24,) m: span lengths of the mean shape."""
        directions = steps / self.mean_lengths[:, None]
        slopes = np.einsum("sx,sxb->sb", directions, by_beta[_ENDS] - by_beta[_STARTS])
        # Unknowns: ten betas and the scale's deviation from 1, in units of its scatter.
        self._slopes = np.concatenate([slopes, self.SCALE * self.mean_lengths[:, None]], 1)
        self._normal = self._slopes.T @ self._slopes

    def betas(self, running: RunningLengths) -> Array:
        """Return the most probable betas (10,), at most `MOST`."""
        variance = self.BIAS**2 + self.NOISE**2 / running.frames
        solved = np.linalg.solve(
            self._normal + variance * np.eye(11), self._slopes.T @ (running.lengths - self.mean_lengths)
        )
        betas: Array = np.clip(solved[:10], -MOST, MOST)
        return betas
