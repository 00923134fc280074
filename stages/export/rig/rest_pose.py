"""The hand that a skeleton moves: mesh, joints and weights at rest. A hand model gives it, not the recording."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.errors import HandModelError
from hamba_core.hand import JOINTS_FROM_MODEL, HandModel, Side, load_generic_hand, mirrored_points, read_mano

logger = logging.getLogger(__name__)

_MANO_LICENCE: Final = (
    "Contains the hand mesh of MANO, Copyright Max-Planck-Gesellschaft, licensed to each user: "
    "https://mano.is.tue.mpg.de/license.html"
)
_GENERIC_LICENCE: Final = (
    "Contains a hand mesh made from the generic hand of the WebXR Input Profiles, Copyright (c) 2019 Amazon, MIT "
    "License: https://github.com/immersive-web/webxr-input-profiles"
)


@dataclass(frozen=True, eq=False)
class RestHand:
    """A hand of one side in the flat pose, metres, in the axes of the model."""

    vertices: Array  # (V, 3)
    joints: Array  # (21, 3)
    weights: Array  # (V, 21) of the bones, joint order; rows sum to 1
    faces: NDArray[np.int64]  # (F, 3), counter-clockwise seen from outside


def rest_hand(model: HandModel, betas: Array, side: Side) -> RestHand:
    """Return the hand of this shape; a left one is mirrored."""
    vertices, joints = model.v_template + model.shapedirs @ betas, model.rest_joints_21(betas)
    vertices, joints = (mirrored_points(points, side) for points in (vertices, joints))
    weights = np.pad(model.weights / model.weights.sum(1, keepdims=True), ((0, 0), (0, 5)))  # nothing hangs on tips
    return RestHand(vertices, joints, weights[:, JOINTS_FROM_MODEL], model.faces_of(side))


def recorded_hand_model(name: str, file: Path | None) -> HandModel:
    """Return the hand model of a recording by the name in it; MANO's is read from the user's file.

    Raises HandModelError where it is not to be had.
    """
    if name == "generic":
        return load_generic_hand()
    if name != "mano":
        raise HandModelError(
            f"expected a recording of the hand model generic or mano, found {name!r}; "
            "--vertices writes the recorded meshes, which needs no model"
        )
    if file is None:
        raise HandModelError(
            "expected MANO for its skin and bones, found none: recordings do not hold it; "
            "name it with --hand-model MANO_RIGHT.pkl, or give --vertices, which writes the recorded meshes"
        )
    model = read_mano(file)
    logger.warning("The GLB file contains MANO's mesh: MANO's licence holds for it too, wherever it goes.")
    return model


def licence_of(name: str) -> str | None:
    """Return what a file that contains this hand model's mesh has to say, if anything is known."""
    return {"generic": _GENERIC_LICENCE, "mano": _MANO_LICENCE}.get(name)
