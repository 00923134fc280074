"""The scenery is where the hands are: lights and a background, made up from a seed."""

from dataclasses import dataclass

import numpy as np

from hamba_core.arrays import Float32Array
from hamba_core.view import Intrinsics
from stages.synthetic.motion import View
from stages.synthetic.scene.desk import Plane, desk_lights, desk_picture, desk_plane
from stages.synthetic.scene.room import room_lights, room_picture
from stages.synthetic.surfaces import TONES, Lights, linear

FABRICS = ((46, 66, 92), (122, 40, 44), (64, 84, 64), (176, 168, 152), (52, 52, 56), (196, 140, 62), (92, 74, 104))
"""sRGB colours of sleeves."""


@dataclass(frozen=True, eq=False)
class Scenery:
    """A place and a person, without the hands. Colours are linear; 1 shows white paper as white."""

    view: View
    tone: int  # index of the skin's tone
    sleeve: Float32Array  # (3,)
    lights: Lights
    background: Float32Array  # (height, width, 3)
    ground: Plane | None  # where shadows fall; none if the background is too far away


def make_scenery(rng: np.random.Generator, camera: Intrinsics, size: tuple[int, int], distance: float) -> Scenery:
    """Return a desk as seen by the person who sits at it, or a room behind somebody before a webcam.

    `size` is the picture's (width, height), `distance` metres to the hands.
    """
    tone, sleeve = int(rng.integers(len(TONES))), linear(FABRICS[rng.integers(len(FABRICS))]) * 0.9
    side = float(rng.choice([-1.0, 1.0]))  # from which the light comes
    if rng.random() < 0.5:
        return Scenery("facing", tone, sleeve, room_lights(side), room_picture(rng, size, side), None)
    plane = desk_plane(rng, distance)
    return Scenery(
        "first_person", tone, sleeve, desk_lights(plane, side), desk_picture(rng, camera, size, plane), plane
    )
