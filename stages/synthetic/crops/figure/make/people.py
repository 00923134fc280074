"""Makes hands of made-up people from MakeHuman's base mesh: children and grown-ups, thin, heavy, long-fingered.

They are for measuring: none of them is drawn in training crops, which know one hand of this mesh and its betas.
"""

from itertools import product
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.hand import HandModel
from stages.synthetic.crops.figure.make.second_hand import make
from stages.synthetic.crops.figure.models import made_model

CHILDREN: Final = 0.15
"""Share of people who are part child."""
HAND_SPREAD, HAND_MOST = 0.35, 0.8
"""How much of MakeHuman's targets for hands people have: its scatter, and the most of it."""


def any_person(folder: Path, seed: int) -> HandModel:
    """The right hand of a seed's person; the folder is that of `make.second_hand`. Raises HandModelError."""
    return made_model("makehuman", make(folder, any_targets(seed)))


def any_targets(seed: int) -> dict[str, float]:
    """MakeHuman's targets for a seed's person, and how much of each."""
    rng = np.random.default_rng([seed, 77])
    people = dict(zip(("african", "asian", "caucasian"), rng.dirichlet([0.5] * 3).tolist(), strict=True))
    male = float(rng.beta(0.5, 0.5))
    old = float(rng.beta(0.7, 1.3))
    ages = {"young": 1 - old, "old": old}
    if rng.random() < CHILDREN:
        child = float(rng.uniform(0.2, 0.7))
        ages = {"child": child, "young": 1 - child}
    muscles, weights = _between(rng, "muscle"), _between(rng, "weight")
    targets: dict[str, float] = {}
    for (sex, of_sex), (age, of_age) in product((("female", 1 - male), ("male", male)), ages.items()):
        for name, share in people.items():
            targets[f"macrodetails/{name}-{sex}-{age}"] = share * of_sex * of_age
        for (muscle, of_muscle), (weight, of_weight) in product(muscles.items(), weights.items()):
            name = f"macrodetails/universal-{sex}-{age}-{muscle}-{weight}"
            targets[name] = of_sex * of_age * of_muscle * of_weight
    for part in ("fingers-diameter", "fingers-length", "scale"):
        change = float(np.clip(rng.normal(0, HAND_SPREAD), -HAND_MOST, HAND_MOST))
        targets[f"hands/r-hand-{part}-{'incr' if change > 0 else 'decr'}"] = abs(change)
    return targets


def _between(rng: np.random.Generator, what: str) -> dict[str, float]:
    """Somewhere between the average and the least or the most."""
    level = float(rng.uniform(-1, 1))
    return {f"average{what}": 1 - abs(level), f"{'max' if level > 0 else 'min'}{what}": abs(level)}
