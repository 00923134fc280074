"""Which camera looks at the hand, from where, and how the forearm comes into its picture."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from hamba_core.view import Intrinsics
from stages.synthetic.crops.draws import chance, log_uniform

Array = NDArray[np.float64]

KINDS = {"webcam": 0.36, "phone": 0.22, "egocentric": 0.24, "anywhere": 0.18}
"""How often each occurs."""
SIZES = {
    "webcam": ((640, 480), (1280, 720), (1920, 1080)),
    "phone": ((1080, 1920), (1920, 1080), (720, 1280)),
    "egocentric": ((1280, 960), (1408, 1408), (1920, 1080), (640, 480)),
    "anywhere": ((640, 480), (1280, 720), (1000, 750)),
}
FIELDS_OF_VIEW = {"webcam": (48, 82), "phone": (52, 78), "egocentric": (65, 112), "anywhere": (18, 85)}
"""Degrees across the picture's longer side."""
DISTANCES = {"webcam": (0.28, 1.2), "phone": (0.3, 2.2), "egocentric": (0.2, 0.65), "anywhere": (0.25, 3.0)}
"""Metres to the hand."""


@dataclass(frozen=True, eq=False)
class View:
    """A camera and a hand before it."""

    kind: str
    camera: Intrinsics
    width: int
    height: int
    middle: Array  # (3,) m, camera frame: where the middle of the hand is
    R_hand: Array  # (3, 3): the palm's axes as columns: towards the thumb's side, the fingers, out of the palm
    elbow: Array  # (3,) unit, camera frame, from the wrist to the elbow


def any_view(rng: np.random.Generator) -> View:
    """Return a camera as somebody might use it."""
    kind = str(rng.choice(list(KINDS), p=list(KINDS.values())))
    sizes = SIZES[kind]
    width, height = sizes[rng.integers(len(sizes))]
    field = np.radians(rng.uniform(*FIELDS_OF_VIEW[kind]))
    camera = Intrinsics.from_field_of_view(field, width, height)
    distance = log_uniform(rng, *DISTANCES[kind])
    ray = camera.rays(_place_in_picture(kind, width, height, rng))
    R_hand, elbow = _orientation(kind, rng)
    return View(kind, camera, width, height, ray * distance, R_hand, elbow)


def _place_in_picture(kind: str, width: int, height: int, rng: np.random.Generator) -> Array:
    """Return where the middle of the hand is, pixels; one of eight is near a border."""
    place = rng.uniform(0.16, 0.84, 2)
    if kind == "egocentric":
        place[1] = rng.beta(2.2, 1.6)
    if chance(rng, 0.1):
        axis = int(rng.integers(2))
        place[axis] = float(chance(rng, 0.5)) + rng.normal(0, 0.04)
    return np.asarray(place * (width, height))


def _orientation(kind: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return the palm's axes (3, 3) and the direction (3,) from the wrist to the elbow."""
    if kind == "anywhere" or chance(rng, 0.12):
        basis = Rotation.random(random_state=rng).as_matrix()
    else:
        if kind == "egocentric":  # the arm goes away from the camera, up from below the picture
            along = np.array([rng.normal(0, 0.45), -abs(rng.normal(0.45, 0.35)), 0.8 + rng.normal(0, 0.25)])
            palm_turn = rng.uniform(-180, 180) if chance(rng, 0.3) else 180 + rng.normal(0, 55)
        elif kind == "phone" and chance(rng, 0.5):  # from above, or on a table
            angle = rng.uniform(-np.pi, np.pi)
            along = np.array([np.cos(angle), np.sin(angle), rng.normal(0, 0.45)])
            palm_turn = rng.uniform(-180, 180) if chance(rng, 0.4) else 180 + rng.normal(0, 45)
        else:  # somebody before the camera raises a hand
            angle, pitch = np.radians(rng.normal(0, 38)), np.radians(rng.normal(-14, 34))
            along = np.array([np.sin(angle) * np.cos(pitch), -np.cos(angle) * np.cos(pitch), np.sin(pitch)])
            palm_turn = rng.uniform(-180, 180) if chance(rng, 0.5) else rng.normal(0, 50)
        basis = _basis(along, np.radians(palm_turn))
    flexion, deviation = np.clip(rng.normal(-8, 26), -60, 62), np.clip(rng.normal(4, 11), -20, 32)
    wrist = Rotation.from_euler("xz", [flexion, deviation], degrees=True).as_matrix()
    return basis @ wrist, -basis[:, 1]


def _basis(along: Array, turn: float) -> Array:
    """Return axes of a hand that points along a direction (3,), palm to the camera, then turned about it by radians."""
    y = along / np.linalg.norm(along)
    z = np.array([0.0, 0, -1]) + y[2] * y
    z = (
        z / np.linalg.norm(z)
        if np.linalg.norm(z) > 0.15
        else np.cross(y, (1.0, 0, 0)) / np.linalg.norm(np.cross(y, (1.0, 0, 0)))
    )
    basis = np.stack([np.cross(y, z), y, z], 1)
    return np.asarray(basis @ Rotation.from_euler("y", turn).as_matrix())
