"""The hand model that ships: a generic hand in MANO's structure, for users who have no MANO file.

It is made by `make/generic_hand.py` from the WebXR generic hand (MIT licence, `LICENSE.txt` beside this).
"""

from functools import cache
from importlib.resources import files
from typing import Final

import numpy as np

from hamba_core.hand.hand_model import HandModel

SHAPE_DIRECTIONS: Final = (
    "size", "palm_width", "palm_length", "thumb_length", "index_length",
    "middle_length", "ring_length", "little_length", "finger_thickness", "palm_thickness",
)  # fmt: skip
"""What each beta of the generic hand changes; -2..2 is the range among people."""


@cache
def load_generic_hand() -> HandModel:
    """Return the generic right hand; the same object at every call."""
    with (files(__name__) / "generic_hand.npz").open("rb") as file, np.load(file) as data:
        arrays = {name: data[name].astype(np.int64 if data[name].dtype.kind == "i" else np.float64) for name in data}
    for rows in ("weights", "j_regressor"):  # rounded to single precision in the file
        arrays[rows] /= arrays[rows].sum(1, keepdims=True)
    return HandModel(name="generic", posedirs=np.zeros((len(arrays["v_template"]), 3, 135)), **arrays)
