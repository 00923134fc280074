"""The colours of hands and fingers, the same in every picture. RGB, 0..255."""

from typing import Final

from hamba_core.skeleton import BONES, JOINT_NAMES, Side

Colour = tuple[int, int, int]

FINGER_COLOURS: Final[dict[str, Colour]] = {
    "thumb": (255, 92, 92),
    "index": (255, 178, 46),
    "middle": (102, 214, 92),
    "ring": (51, 178, 255),
    "little": (190, 120, 255),
}
WRIST_COLOUR: Final[Colour] = (235, 235, 235)

# Blue and orange are told apart by every kind of colour vision. A second hand of a side is of another shade.
_SIDE_COLOURS: Final[dict[Side, tuple[Colour, ...]]] = {
    "left": ((74, 144, 226), (64, 196, 202), (128, 118, 232)),
    "right": ((243, 146, 66), (232, 188, 70), (233, 104, 110)),
}


def hand_colour(side: Side, rank: int = 0) -> Colour:
    """A mesh's colour; `rank` counts the hands of this side that are seen at the same time."""
    shades = _SIDE_COLOURS[side]
    return shades[rank % len(shades)]


JOINT_COLOURS: Final[tuple[Colour, ...]] = tuple(
    FINGER_COLOURS.get(name.partition("_")[0], WRIST_COLOUR) for name in JOINT_NAMES
)
"""A colour for each of the 21 joints."""

BONE_COLOURS: Final[tuple[Colour, ...]] = tuple(JOINT_COLOURS[child] for _, child in BONES)
"""A colour for each of the 20 bones, in the order of `BONES`."""
