"""The colours of hands and fingers, the same in every picture. RGB, 0..255."""

from collections.abc import Sequence
from itertools import count
from typing import Final

from hamba_core.hand import BONES, JOINT_NAMES, Side
from stages.packets import Hand

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
    "left": ((92, 164, 245), (72, 208, 212), (150, 136, 245)),
    "right": ((252, 160, 84), (240, 200, 84), (244, 120, 128)),
}


_DARK: Final = 70


def hand_colour(side: Side, rank: int = 0) -> Colour:
    """Return a mesh's colour; `rank` tells hands of one side apart that are there at the same time."""
    shades = _SIDE_COLOURS[side]
    return shades[rank % len(shades)]


class HandColours:
    """A colour for each hand by its side, kept as long as its track is there."""

    def __init__(self) -> None:
        self._ranks: dict[tuple[int, Side], int] = {}

    def of(self, hands: Sequence[Hand]) -> list[Colour]:
        """Return the colours of a frame's hands, in order. Hands of one side that are there together differ.

        A hand that was not seen, only extrapolated, has its colour dimmed.
        """
        keys = [(hand.track_id, hand.side) for hand in hands]
        self._ranks = {key: rank for key, rank in self._ranks.items() if key in keys}
        for key in keys:
            if key not in self._ranks:
                taken = {rank for (_, side), rank in self._ranks.items() if side == key[1]}
                self._ranks[key] = next(rank for rank in count() if rank not in taken)
        colours = [hand_colour(side, self._ranks[track, side]) for track, side in keys]
        return [colour if hand.seen else dimmed(colour) for colour, hand in zip(colours, hands, strict=True)]


def dimmed(colour: Colour) -> Colour:
    """Return the colour half way to a dark grey."""
    red, green, blue = ((part + _DARK) // 2 for part in colour)
    return red, green, blue


JOINT_COLOURS: Final[tuple[Colour, ...]] = tuple(
    FINGER_COLOURS.get(name.partition("_")[0], WRIST_COLOUR) for name in JOINT_NAMES
)
"""A colour for each of the 21 joints."""

BONE_COLOURS: Final[tuple[Colour, ...]] = tuple(JOINT_COLOURS[child] for _, child in BONES)
"""A colour for each of the 20 bones, in the order of `BONES`."""
