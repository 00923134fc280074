"""A hand whose box is given, as published sets give it, is looked at there, whichever way it points."""

from math import pi
from typing import Final

from hamba_core.arrays import Float32Array
from hamba_core.hand import Side
from stages.detection import HandCrop, HandNetwork, crop_around, look_at
from stages.packets import HandBox, Image

_TURNS: Final = tuple(turn * pi / 2 for turn in range(4))
_LEAST_PRESENCE: Final = 0.5
"""Below it the network saw no hand."""
_REACH: Final = 1.8
"""Of the box's longer side: the network was made for crops that hands fill so far."""
_LOOKS: Final = 2
"""Looks that follow the first, each at a crop around the joints that the look before it saw."""


def look_in_box(network: HandNetwork, image: Image, box: Float32Array, side: Side, *, maps: bool) -> HandBox | None:
    """Return the hand of this side in a box (left, top, right, bottom), px, of a picture, or None if none is seen.

    A square about the box is looked at in four turns; the look that is surest of a hand is followed, so that the hand
    then stands upright in its crop and fills it. `maps` keeps the network's inner maps.
    """
    mirrored = side == "left"
    left, top, right, bottom = box.tolist()
    reach = _REACH * max(right - left, bottom - top)
    crops = [HandCrop((left + right) / 2, (top + bottom) / 2, reach, turn, mirrored) for turn in _TURNS]
    best = max(look_at(network, image, crops), key=lambda sighting: sighting.look.presence)
    for number in range(_LOOKS):
        if best.look.presence < _LEAST_PRESENCE:
            return None
        last = number == _LOOKS - 1
        (best,) = look_at(network, image, [crop_around(best.joints_2d, mirrored=mirrored)], maps=maps and last)
    return best.box().of_side(side) if best.look.presence >= _LEAST_PRESENCE else None
