"""A forearm that goes on where a hand model's mesh ends, and a sleeve over it."""

from itertools import pairwise

import numpy as np
from scipy.spatial.transform import Rotation

from hamba_core.arrays import Array, Int64Array
from hamba_core.hand import MIRROR
from stages.synthetic.motion.motion import HandState

WRIST_CUT = 0.004
"""Metres behind the wrist joint where the forearm takes over."""

SKIN_RINGS = (0.007, 0.015, 0.024, 0.035, 0.049, 0.066, 0.086)
"""Metres behind the rim of the hand's mesh of the rings of skin."""

SLEEVE_RINGS = ((0.088, -0.004), (0.074, -0.002), (0.072, 0.003), (0.075, 0.006), (0.095, 0.008), (0.12, 0.010),
                (0.15, 0.011), (0.19, 0.016), (0.25, 0.019), (0.35, 0.022), (0.9, 0.03))  # fmt: skip
"""(metres behind the wrist, metres above the skin) of the sleeve, from inside its cuff outwards."""

SLEEVE_SIDES = 24
CUFF_RINGS = 4
"""How many of the sleeve's rings are its cuff, which has no folds."""
FOLDS = 0.024
"""Size of the sleeve's folds, relative to its radius."""

BLEND = 0.04
"""Metres over which the rim of the hand's mesh passes into the forearm's ellipse."""
BEND = 0.05
"""Metres behind the wrist over which the forearm takes its own direction."""


class Arm:
    """An arm is rings around a line that starts at the wrist."""

    def __init__(self, rim: Array, rim_vertices: Int64Array, first: int, rng: np.random.Generator) -> None:
        """Start from the rim of a hand's mesh (n, 3), in palm coordinates: a closed ring in its faces' direction.
        `rim_vertices` (n,) are its vertices' numbers; the arm's own are counted from `first`.
        """
        across, start = rim[:, [0, 2]], -rim[:, 1]
        centre = across.mean(0)
        angle = np.arctan2(*(across - centre).T[::-1])
        half = np.abs(across - centre).max(0)
        behind, offsets = [], []
        for at in SKIN_RINGS:
            own = max(0.0, 1 - at / BLEND)
            behind.append(start.mean() + at + own * (start - start.mean()))
            offsets.append(own * (across - centre) + (1 - own) * _ellipse(half, at, angle) + (1 + own) / 2 * centre)
        direction = np.sign(np.sum((np.diff(angle, append=angle[:1]) + np.pi) % (2 * np.pi) - np.pi))
        around = np.linspace(0, 2 * np.pi, SLEEVE_SIDES, endpoint=False) * direction
        for k, (at, above) in enumerate(SLEEVE_RINGS):
            waves = np.arange(1, 5)[:, None]
            fold = (rng.normal(0, 1, (4, 1)) * np.cos(waves * around + rng.uniform(0, 2 * np.pi, (4, 1)))).sum(0)
            ring = _ellipse(half, at, around) + above * np.stack([np.cos(around), np.sin(around)], 1) + centre / 2
            behind.append(np.full(SLEEVE_SIDES, at))
            offsets.append(ring * (1 + (k >= CUFF_RINGS) * FOLDS * fold[:, None]))
        self._behind, self._offsets = np.concatenate(behind), np.concatenate(offsets)
        self.rest = np.stack([self._offsets[:, 0], -self._behind, self._offsets[:, 1]], 1)
        """(A, 3) the arm's vertices at rest, in palm coordinates."""
        last = first + len(SKIN_RINGS) * len(rim)
        skin = [rim_vertices, *np.arange(first, last).reshape(-1, len(rim))]
        sleeve = np.arange(last, first + len(self._behind)).reshape(-1, SLEEVE_SIDES)
        self.skin_faces = np.concatenate([_tube(a, b) for a, b in pairwise(skin)])
        self.sleeve_faces = np.concatenate([_tube(a, b) for a, b in pairwise(sleeve)])

    def pose(self, state: HandState, palm: Array) -> Array:
        """Return the vertices (A, 3) in the camera frame.

        `palm` (3, 3) has the palm's axes at rest as columns: towards the thumb's side, the fingers, out of the palm.
        """
        mirror = MIRROR if state.side == "left" else np.eye(3)
        hand = state.global_orient @ palm
        backwards, elbow = -hand[:, 1], mirror @ state.forearm
        turn = Rotation.align_vectors(elbow[None], backwards[None])[0].as_rotvec()

        def turned(behind: Array) -> Rotation:
            """Return the turn from the hand's direction towards the forearm's, by the distance behind the wrist."""
            return Rotation.from_rotvec(turn * np.clip(behind / BEND, 0, 1)[:, None])

        stops = np.concatenate([np.linspace(0, BEND, 12), [SLEEVE_RINGS[-1][0]]])
        directions = turned(stops).apply(backwards)
        steps = np.diff(stops)[:, None] * (directions[1:] + directions[:-1]) / 2
        line = np.concatenate([np.zeros((1, 3)), np.cumsum(steps, 0)])
        centres = np.stack([np.interp(self._behind, stops, line[:, k]) for k in range(3)], 1)
        offsets = turned(self._behind).apply(self._offsets @ hand[:, [0, 2]].T)
        return np.asarray((centres + offsets) @ mirror + state.wrist)


def _ellipse(half: Array, behind: float, angles: Array) -> Array:
    """Return a ring (n, 2) of the forearm, which grows and becomes rounder from a wrist of these half axes (2,)."""
    growth = np.interp(behind, [0, 0.03, 0.12, 0.25], [1.0, 1.02, 1.22, 1.42])
    rounder = np.array([1.0, np.interp(behind, [0, 0.25], [1.0, 1.2])])
    return np.asarray(np.stack([np.cos(angles), np.sin(angles)], 1) * half * growth * rounder)


def _tube(first: Int64Array, second: Int64Array) -> Int64Array:
    """Return the triangles (2 n, 3) between two closed rings of n vertices."""
    a, b, c, d = first, np.roll(first, -1), second, np.roll(second, -1)
    return np.concatenate([np.stack([b, a, c], 1), np.stack([b, c, d], 1)])
