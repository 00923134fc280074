"""Random numbers of one crop: a stream of its own for each idea, so that a change in one leaves the others alone."""

from zlib import crc32

import numpy as np


class Draws:
    """The streams of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, idea: str) -> np.random.Generator:
        """Return a fresh generator, the same for the same seed and idea on every machine."""
        return np.random.default_rng([self.seed, crc32(idea.encode())])


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True as often as the probability says."""
    return bool(rng.random() < probability)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number between two positive ones whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
