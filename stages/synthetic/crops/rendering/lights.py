"""The light that hands stand in: one lamp or sun, and the room around, dimmed where something is in its way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.synthetic.crops.draws import chance, log_uniform
from stages.synthetic.crops.noise import FloatArray
from stages.synthetic.surfaces import RayScene

Array = NDArray[np.float64]

REACH = 0.35
"""Metres beyond which nothing dims the room's light."""
OFF_SKIN = 0.0012
"""Metres off a surface at which rays start, so that they do not meet it."""
DIRECTIONS = 8
SETS = 16
"""Sets of directions, so that neighbours do not share an error."""


@dataclass(frozen=True, eq=False)
class Lights:
    """A place's light, camera frame; colours are linear."""

    towards: Array  # (3,) unit, from the scene to the lamp
    lamp: FloatArray  # (3,)
    softness: float  # radius of the lamp, one unit off
    up: Array  # (3,) unit: where the room is lighter
    above: FloatArray  # (3,) colour from there
    below: FloatArray  # (3,)
    windows: Array  # (W, 3) unit
    window_colours: FloatArray  # (W, 3)
    narrowness: FloatArray  # (W,)

    def room(self, directions: FloatArray) -> FloatArray:
        """Return the light (..., 3) that comes from directions (..., 3)."""
        cosines = directions @ np.concatenate([self.up[None], self.windows]).T.astype(np.float32)
        shares = np.empty((*cosines.shape[:-1], cosines.shape[-1] + 1), np.float32)
        shares[..., 0] = 0.5 + 0.5 * cosines[..., 0]
        shares[..., 1] = 1 - shares[..., 0]
        shares[..., 2:] = np.exp(self.narrowness * (cosines[..., 1:] - 1))
        return np.asarray(shares @ np.concatenate([[self.above, self.below], self.window_colours]), np.float32)


def any_lights(rng: np.random.Generator) -> Lights:
    """Anything from a dull room to the sun, from anywhere but mostly from above and the camera's side."""
    towards = rng.normal((0, -0.8, -0.5), 1)
    up = rng.normal((0, -1, -0.2), 0.4)
    ratio = log_uniform(rng, 0.08, 3.0) if chance(rng, 0.8) else 0.0
    room = rng.uniform(0.35, 1.0)
    count = int(rng.integers(0, 4))
    windows = rng.normal((0, -0.3, -0.3), 1, (count, 3))
    tint = np.exp(rng.normal(0, [0.10, 0.03, 0.16]))
    return Lights(
        towards=towards / np.linalg.norm(towards),
        lamp=(room * ratio * tint * np.exp(rng.normal(0, [0.08, 0.02, 0.12]))).astype(np.float32),
        softness=log_uniform(rng, 0.02, 0.5),
        up=up / np.linalg.norm(up),
        above=(room * tint * np.exp(rng.normal(0, 0.06, 3))).astype(np.float32),
        below=(room * tint * rng.uniform(0.1, 0.7) * np.exp(rng.normal(0, 0.12, 3))).astype(np.float32),
        windows=windows / np.linalg.norm(windows, axis=1, keepdims=True),
        window_colours=(room * rng.uniform(0.3, 2.5, (count, 1)) * np.exp(rng.normal(0, 0.15, (count, 3)))).astype(
            np.float32
        ),
        narrowness=rng.uniform(2, 14, count).astype(np.float32),
    )


def room_light(scene: RayScene, lights: Lights, points: Array, normals: Array, rng: np.random.Generator) -> FloatArray:
    """Light (N, 3) that the room gives surfaces at points (N, 3) with unit normals (N, 3)."""
    i = np.arange(DIRECTIONS) + 0.5
    radius = np.sqrt(i / DIRECTIONS)
    angle = i * np.pi * (3 - np.sqrt(5)) + rng.uniform(0, 2 * np.pi, (SETS, 1))
    local = np.stack([radius * np.cos(angle), radius * np.sin(angle),
                      np.broadcast_to(np.sqrt(1 - radius**2), angle.shape)], -1)  # fmt: skip
    n = normals.astype(np.float32)
    # A frame around each normal (Duff et al., "Building an orthonormal basis, revisited", JCGT 2017).
    sign = np.where(n[:, 2] >= 0, 1, -1).astype(np.float32)
    a = -1 / (sign + n[:, 2])
    b = n[:, 0] * n[:, 1] * a
    x = np.stack([1 + sign * n[:, 0] ** 2 * a, sign * b, -sign * n[:, 0]], 1)
    y = np.stack([b, sign + n[:, 1] ** 2 * a, -n[:, 1]], 1)
    of_set = local.astype(np.float32)[np.arange(len(n)) % SETS]
    directions = of_set @ np.stack([x, y, n], 1)  # (N, D, 3)
    free = scene.free(points.astype(np.float32) + OFF_SKIN * n, directions, REACH)
    light = lights.room(directions)
    share = free.astype(np.float32)
    comes = np.einsum("nd,ndc->nc", share, light) / DIRECTIONS
    # What is in the way is mostly skin, lit as this is: it gives back some of the light, redder.
    mean = np.einsum("ndc->nc", light) / DIRECTIONS
    blocked = 1 - np.einsum("nd->n", share)[:, None] / DIRECTIONS
    return np.asarray(comes + blocked * mean * np.array([0.34, 0.2, 0.15], np.float32), np.float32)


def lamp_share(scene: RayScene, lights: Lights, points: FloatArray, normals: FloatArray, pattern: FloatArray
               ) -> FloatArray:  # fmt: skip
    """Return whether (N,) points (N, 3) see the part of the lamp that `pattern` (N, 2), within the unit disc, picks."""
    x = np.cross(lights.towards, (0.0, 0, 1) if abs(lights.towards[2]) < 0.9 else (0.0, 1, 0))
    x /= np.linalg.norm(x)
    y = np.cross(lights.towards, x)
    towards = lights.towards + lights.softness * (pattern[:, :1] * x + pattern[:, 1:] * y)
    starts = points + OFF_SKIN * normals
    return scene.free(starts, towards[:, None].astype(np.float32))[:, 0].astype(np.float32)
