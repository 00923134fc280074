"""Which hand of which data set is shown when: drawn with the sets' weights, the same for the same seed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.errors import ConfigurationError, SourceError
from pipeline.training.data_sets.coco_wholebody import CocoWholeBodyTraining
from pipeline.training.data_sets.dexycb import DexYcbTraining
from pipeline.training.data_sets.freihand import FreiHandTraining
from pipeline.training.data_sets.hand_data import LEAST_JOINTS, HandData, HandSample, NoHandError
from pipeline.training.data_sets.hint import HIntTraining
from pipeline.training.data_sets.ho3d import Ho3dTraining
from pipeline.training.data_sets.interhand import InterHandTraining
from pipeline.training.data_sets.pose_space import PoseSpace
from pipeline.training.data_sets.rendered import RenderedTraining
from pipeline.training.data_sets.rhd import RhdTraining

DATA_SETS: Final[Mapping[str, Callable[[Path, PoseSpace | None], HandData]]] = {
    "freihand": FreiHandTraining,
    "interhand": InterHandTraining,
    "rhd": RhdTraining,
    "coco_wholebody": CocoWholeBodyTraining,
    "ho3d": Ho3dTraining,
    "dexycb": DexYcbTraining,
    "hint": HIntTraining,
    "rendered": RenderedTraining,
}
"""Data sets by name."""

PAPER_WEIGHTS: Final[Mapping[str, float]] = {
    "freihand": 0.25,
    "interhand": 0.25,
    "coco_wholebody": 0.1,
    "rhd": 0.05,
    "ho3d": 0.05,
    "dexycb": 0.05,
}
"""The paper's. The quarter that is missing is MTC's, Halpe's, MPII-NZSL's and H2O3D's, which are not read here; weights
are shares of their sum. HInt and rendered crops were not in it, and count as FreiHAND does where they are the only
ones."""

_ALONE: Final = 0.25

_MOST_TRIES: Final = 100

LEAST_ASIDE: Final = 1
"""Hands of each set that are kept aside at least."""


def open_data(folders: Mapping[str, Path], poses: PoseSpace | None = None) -> dict[str, HandData]:
    """Open data sets by name in their folders. Raises ConfigurationError for other names, SourceError."""
    unknown = sorted(set(folders) - set(DATA_SETS))
    if unknown or not folders:
        raise ConfigurationError(
            f"data sets: expected some of {', '.join(DATA_SETS)} with their folders, "
            f"found {', '.join(unknown) or 'none'}"
        )
    sets = {name: DATA_SETS[name](folder, poses) for name, folder in folders.items()}
    for name, data in sets.items():
        if len(data) < 2 * LEAST_ASIDE:
            raise SourceError(f"{folders[name]}: expected hands to train on and to keep aside, found {len(data)}")
    return sets


class Mixture:
    """Hands of several sets. The last ones of each are kept aside, and are never drawn."""

    def __init__(
        self,
        sets: Mapping[str, HandData],
        weights: Mapping[str, float] | None = None,
        aside: float = 0.01,
        seed: int = 0,
    ) -> None:
        """Mix sets by `weights`, those of the paper without. `aside` is the share of each set that is kept aside."""
        given = PAPER_WEIGHTS if weights is None else weights
        if unknown := sorted(set(given) - set(DATA_SETS)):
            raise ConfigurationError(f"weights: expected names of {', '.join(DATA_SETS)}, found {', '.join(unknown)}")
        self._sets, self._seed = list(sets.values()), seed
        own = np.array([given.get(name, 0.0 if weights is not None else _ALONE) for name in sets], np.float64)
        if not (own >= 0).all() or own.sum() <= 0:
            raise ConfigurationError(f"weights: expected numbers above 0 for {', '.join(sets)}, found {own.tolist()}")
        self.shares = dict(zip(sets, (own / own.sum()).tolist(), strict=True))
        self._trained = [len(data) - max(LEAST_ASIDE, int(aside * len(data))) for data in self._sets]

    def draw(self, number: int) -> tuple[HandSample, np.random.Generator]:
        """Return the hand that is the `number`th to be shown, and random numbers for what is changed of it.

        They depend on the number and the seed alone, so that a run that goes on sees what it would have seen. Raises
        SourceError.
        """
        random = np.random.default_rng([self._seed, number])
        for _ in range(_MOST_TRIES):
            which = random.choice(len(self._sets), p=list(self.shares.values()))
            sample = _usable(self._sets[which], int(random.integers(self._trained[which])))
            if sample is not None:
                return sample, random
        raise SourceError(
            f"data sets: expected hands to learn from, found none in {_MOST_TRIES} pictures of {', '.join(self.shares)}"
        )

    def kept_aside(self, most: int) -> list[HandSample]:
        """Return at most so many hands that are kept aside, as many of each set. Raises SourceError."""
        of_each = max(most // len(self._sets), 1)
        samples = []
        for data, first in zip(self._sets, self._trained, strict=True):
            places = np.linspace(first, len(data) - 1, min(of_each, len(data) - first)).astype(int)
            samples += [sample for place in np.unique(places) if (sample := _usable(data, int(place))) is not None]
        if not samples:
            raise SourceError("data sets: expected hands to keep aside, found none in the sets' last pictures")
        return samples[:most]


def _usable(data: HandData, number: int) -> HandSample | None:
    """Return a hand, or none where the picture has none or too little is known of it."""
    try:
        sample = data.sample(number)
    except NoHandError:
        return None
    return sample if np.sum(sample.truth.known_2d) >= LEAST_JOINTS else None
