"""Smooth procedural noise."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from hamba_core.arrays import Float32Array


class Noise:
    """Value noise over space: for one generator's state, the same point has the same value, about -1..1."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._lattice = rng.uniform(-1, 1, (32, 32, 32)).astype(np.float32)

    def __call__(self, points: NDArray[np.floating], size: float, octaves: int = 1) -> Float32Array:
        """Return noise (N,) at points (N, 2 or 3) with features of about `size`, in their unit, finer with octaves."""
        at = np.zeros((3, len(points)), np.float32)
        at[: points.shape[1]] = points.T / size
        total, weight = np.zeros(len(points), np.float32), 1.0
        for octave in range(octaves):
            total += weight * map_coordinates(self._lattice, at * 2**octave + 5.3 * octave, order=1, mode="grid-wrap")
            weight /= 2
        return total
