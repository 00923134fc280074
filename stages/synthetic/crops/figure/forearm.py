"""The forearm behind a hand: its shape at rest and how it bends at the wrist.

At rest it lies behind the wrist in palm coordinates: a point's y is minus its distance behind the wrist.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RINGS = (0.006, 0.013, 0.021, 0.030, 0.041, 0.055, 0.075, 0.10, 0.13, 0.17, 0.22, 0.28, 0.36)
"""Metres behind the rim of the hand's mesh of the rings of skin."""
FADE = 0.045
"""Metres over which the rim passes into an ellipse."""
BEND = 0.045
"""Metres behind the wrist over which the forearm takes its own direction."""
GROWTH = ((0.0, 0.03, 0.10, 0.20, 0.30, 0.36), (1.0, 1.0, 1.17, 1.42, 1.55, 1.5))
"""Metres behind the wrist, and the forearm's width relative to the wrist's."""


@dataclass(frozen=True, eq=False)
class Forearm:
    """Where a forearm is, in the camera frame."""

    wrist: Array  # (3,) m
    R_hand: Array  # (3, 3): the palm's axes as columns: towards the thumb's side, the fingers, out of the palm
    elbow: Array  # (3,) unit, from the wrist to the elbow

    def place(self, points: Array) -> Array:
        """Take points (N, 3) at rest, palm coordinates, y <= 0, to the camera frame."""
        centres, frames = self._line(-points[:, 1])
        across = frames[:, :, 0] * points[:, :1] + frames[:, :, 1] * points[:, 2:]
        return np.asarray(centres + across)

    def frame_at(self, behind: float) -> tuple[Array, Array]:
        """Return the centre (3,) and the axes (3, 3), as `R_hand`'s, of the forearm this far behind the wrist."""
        centre, frame = self._line(np.array([behind]))
        x, z = frame[0, :, 0], frame[0, :, 1]
        return centre[0], np.stack([x, np.cross(z, x), z], 1)

    def _line(self, behind: Array) -> tuple[Array, Array]:
        """Return centres (N, 3) and the turned axes x and z (N, 3, 2)."""
        backwards = -self.R_hand[:, 1]
        axis = np.cross(backwards, self.elbow)
        sine = float(np.linalg.norm(axis))
        angle = float(np.arctan2(sine, backwards @ self.elbow))
        if sine < 1e-6:
            axis, angle = self.R_hand[:, 0], 1e-6
        else:
            axis = axis / sine
        sideways = np.cross(axis, backwards)
        turned = angle * np.clip(behind / BEND, 0, 1)
        # The integral of the direction cos(t) backwards + sin(t) sideways, then straight on.
        along = BEND / angle * np.sin(turned) + np.maximum(behind - BEND, 0) * np.cos(angle)
        aside = BEND / angle * (1 - np.cos(turned)) + np.maximum(behind - BEND, 0) * np.sin(angle)
        centres = self.wrist + along[:, None] * backwards + aside[:, None] * sideways
        c, s = np.cos(turned)[:, None], np.sin(turned)[:, None]
        frames = [v * c + np.cross(axis, v) * s + axis * (axis @ v) * (1 - c) for v in self.R_hand[:, [0, 2]].T]
        return centres, np.stack(frames, -1)


def half_axes(rim: Array, behind: Array) -> Array:
    """Half the forearm's width and thickness (K, 2), metres, this far (K,) behind a wrist with this rim (R, 3)."""
    half = np.abs(rim[:, [0, 2]] - rim[:, [0, 2]].mean(0)).max(0)
    rounder = np.stack([np.ones(len(behind)), np.interp(behind, [0, 0.25], [1.0, 1.22])], 1)
    return np.asarray(half * np.interp(behind, *GROWTH)[:, None] * rounder)


def skin_rings(rim: Array) -> Array:
    """Return the rings (K, R, 3) of the forearm at rest, behind the rim (R, 3) that they grow from."""
    behind = np.array(RINGS)
    across, start = rim[:, [0, 2]], -rim[:, 1]
    centre = across.mean(0)
    angle = np.arctan2(*(across - centre).T[::-1])
    own = np.maximum(0.0, 1 - behind / FADE)[:, None]
    ellipse = np.stack([np.cos(angle), np.sin(angle)], 1) * half_axes(rim, behind)[:, None]
    ring = own[..., None] * (across - centre) + (1 - own)[..., None] * ellipse + ((1 + own) / 2)[..., None] * centre
    back = start.mean() + behind[:, None] + own * (start - start.mean())
    return np.stack([ring[..., 0], -back, ring[..., 1]], -1)


def tube(rim: Array, behind: Array, above: Array, sides: int = 28) -> Array:
    """Return rings (K, sides, 3) at rest around the forearm: metres behind the wrist (K,) and above the skin (K,)."""
    around = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    circle = np.stack([np.cos(around), np.sin(around)], 1)
    ring = circle * (half_axes(rim, behind) + above[:, None])[:, None] + rim[:, [0, 2]].mean(0) / 2
    return np.stack([ring[..., 0], np.broadcast_to(-behind[:, None], ring.shape[:2]), ring[..., 1]], -1)
