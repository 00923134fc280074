"""The meshes that hands are drawn with: the generic hand, and a second one, so that no network learns one mesh.

The second hand is MakeHuman's (CC0), brought into MANO's structure and the generic hand's flat pose by
`make.second_hand`: the same joint rotations bend both alike, and a beta changes the same proportion of both.
"""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand import HandModel, load_generic_hand
from stages.synthetic.crops.figure.surface import HandSurface

MeshName = Literal["generic", "second"]

RIDGE = 0.005
"""Metres for a beta of one: keeps fitted betas among people's."""


@cache
def hand_model(name: MeshName) -> HandModel:
    """Return the right hand of this name; the same object at every call."""
    if name == "generic":
        return load_generic_hand()
    with (files(__package__) / "second_hand.npz").open("rb") as file, np.load(file) as data:
        return made_model(name, data)


def made_model(name: str, made: Mapping[str, NDArray[Any]]) -> HandModel:
    """Return a hand model of what `make.second_hand` made: arrays by the names of `HandModel`'s fields."""
    arrays: dict[str, Any] = {
        key: made[key].astype(np.int64 if made[key].dtype.kind == "i" else np.float64) for key in made
    }
    for rows in ("weights", "j_regressor"):  # rounded to single precision there
        arrays[rows] /= arrays[rows].sum(1, keepdims=True)
    return HandModel(name=name, posedirs=np.zeros((len(arrays["v_template"]), 3, 135)), **arrays)


@cache
def hand_surface(name: MeshName) -> HandSurface:
    """Return its surface's topology."""
    return HandSurface(hand_model(name))


def generic_betas(name: MeshName, betas: Array) -> Array:
    """Return betas (10,) of the generic hand whose resting joints are next to those of a hand of this mesh."""
    if name == "generic":
        return betas
    generic = load_generic_hand()
    start = generic.rest_joints_21(np.zeros(10))
    missing = (hand_model(name).rest_joints_21(betas) - start).ravel()
    fitted, *_ = np.linalg.lstsq(_joint_directions(), np.concatenate([missing, np.zeros(10)]), rcond=None)
    return np.asarray(fitted)


@cache
def _joint_directions() -> Array:
    """Return (73, 10): what a unit of each beta moves the generic hand's resting joints by, and the ridge."""
    generic = load_generic_hand()
    start = generic.rest_joints_21(np.zeros(10))
    moved = [(generic.rest_joints_21(row) - start).ravel() for row in np.eye(10)]
    return np.concatenate([np.stack(moved, 1), RIDGE * np.eye(10)])
