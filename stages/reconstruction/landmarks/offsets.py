"""MediaPipe does not see a joint where the hand model has it: offsets lead from one to the other.

A detector's landmarks lie where people point in pictures: the wrist in its crease, a knuckle near the skin, a tip in
the nail. A model's joints are the centres that bones turn about, and its tips lie on the skin. The difference was
measured on synthetic hands by `make/offsets.py`, for the generic hand; for others it is not known and taken as none.
"""

from importlib.resources import files

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import HandModel

OFFSETS_FILE = "generic_offsets.txt"


def landmark_offsets(model: HandModel) -> Array:
    """Return offsets (21, 3), metres, rest pose axes, from joints to landmarks; each turns with the bone ending there.

    They are those shipped for the generic hand, and zero for any other model.
    """
    if model.name != "generic":
        return np.zeros((21, 3))
    with (files(__package__) / OFFSETS_FILE).open() as file:
        offsets: Array = np.loadtxt(file, usecols=(1, 2, 3)) / 1000
    return offsets
