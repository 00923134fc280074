"""What LeRobot wants to know of every column: least, greatest, mean, standard deviation, count and quantiles."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Array
from stages.packets import Image

QUANTILES: Final = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_SIDE: Final = 128  # px; of larger pictures every so manieth pixel counts
PICTURES: Final = 100
"""Pictures of an episode that count."""

Statistics = dict[str, Array]


def of_numbers(rows: AnyFloats) -> Statistics:
    """Return the statistics of a column's rows (N, n)."""
    numbers = rows.astype(np.float64)
    return {
        "min": numbers.min(0),
        "max": numbers.max(0),
        "mean": numbers.mean(0),
        "std": numbers.std(0),
        "count": np.array([len(numbers)], np.float64),
        **{name: np.quantile(numbers, share, axis=0) for name, share in QUANTILES.items()},
    }


def thinned(picture: Image) -> Image:
    """Return some of a picture's pixels, enough to tell its colours."""
    step = max(1, min(picture.shape[:2]) // _SIDE)
    return picture[::step, ::step].copy()


def of_pictures(pictures: Sequence[Image]) -> Statistics:
    """Return the statistics of pictures (H, W, 3) RGB, of each channel, 0 to 1, shaped (3, 1, 1)."""
    pixels = np.concatenate([picture.reshape(-1, 3) for picture in pictures]) / 255
    found = {name: value.reshape(3, 1, 1) for name, value in of_numbers(pixels).items() if name != "count"}
    return {**found, "count": np.array([len(pictures)], np.float64)}


def together(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of all parts; quantiles are their means, weighed by how much there is of each."""
    counts = np.array([part["count"][0] for part in parts])
    shares = counts / counts.sum()

    def mixed(name: str) -> Array:
        return np.asarray(sum(share * part[name] for share, part in zip(shares, parts, strict=True)))

    mean = mixed("mean")
    spread = sum(
        share * (part["std"] ** 2 + (part["mean"] - mean) ** 2) for share, part in zip(shares, parts, strict=True)
    )
    return {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(spread),
        "count": np.array([counts.sum()]),
        **{name: mixed(name) for name in QUANTILES},
    }
