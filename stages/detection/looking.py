"""Looking at hands: crops are cut, the hand-landmark network looks at them, its answers are put into the picture."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array
from hamba_core.hand import Side
from stages.common.proximity import tight_box
from stages.detection.exposure import exposed
from stages.detection.hand_crop import HandCrop
from stages.detection.hand_network import HandNetwork
from stages.packets import HandBox, HandLook, Image

_BRIGHTEST: Final = 0.05  # of a crop, by which its light is measured: less than a hand takes of it


class Sighting(NamedTuple):
    """A hand as the network saw it, in the picture."""

    joints_2d: Array  # (21, 2) px
    joints_world: Array  # (21, 3) m, the picture's axes, origin at the hand's own centre
    right: float  # 0 to 1: how likely it is a right hand
    look: HandLook

    def box(self, side: Side | None = None) -> HandBox:
        """Return the packet; its score is the certainty of the side, or where the `side` is given, of a hand."""
        joints = self.joints_2d.astype(np.float32)
        seen = HandBox(
            side="right" if self.right > 0.5 else "left",
            score=max(self.right, 1 - self.right),
            box=tight_box(joints),
            joints_2d=joints,
            joints_world=self.joints_world.astype(np.float32),
            look=self.look,
        )
        return seen if side is None else replace(seen.of_side(side), score=self.look.presence)


def look_at(network: HandNetwork, image: Image, crops: Sequence[HandCrop], *, maps: bool = False) -> list[Sighting]:
    """Return what the network sees in crops of a picture (H, W, 3) RGB, with its inner maps if they are wanted.

    A hand whose joints are known from elsewhere, `box`, is looked at in
    `crop_around(box.joints_2d, mirrored=box.side == "left")`.
    """
    if not crops:
        return []
    given = network.look(np.stack([exposed(crop.cut(image), _BRIGHTEST) for crop in crops]), maps=maps)
    sightings = []
    for i, crop in enumerate(crops):
        look = HandLook(
            T_crop_picture=crop.T_crop_picture,
            mirrored=crop.mirrored,
            landmarks=given.landmarks[i],
            world=given.world[i],
            presence=float(given.presence[i]),
            right=float(given.right[i]),
            maps=tuple(each[i] for each in given.maps) if given.maps else (),
        )
        sightings.append(
            Sighting(
                joints_2d=crop.to_picture(look.landmarks[:, :2]),
                joints_world=crop.axes_to_picture(look.world),
                right=1 - look.right if crop.mirrored else look.right,
                look=look,
            )
        )
    return sightings
