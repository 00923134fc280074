"""This module measures how well a hand agrees with what was seen of it, and how well its place is known."""

from math import hypot
from typing import Final

import numpy as np

from hamba_core.arrays import AnyFloats, Float32Array
from hamba_core.view import Intrinsics
from stages.common.proximity import hand_size
from stages.packets import HandBox

NO_AGREEMENT: Final = 0.2
"""Of the hand's size in the picture: with joints this far off on average, quality is 0; half of it is half as good."""
HAND_SIZES: Final = 0.1
"""Relative scatter of hands' sizes about the model's mean hand, as its shape directions have it; one camera cannot tell
a larger hand from a nearer one."""


def quality_of(box: HandBox, error: float) -> float:
    """Return 0..1, from the mean distance between the hand's joints and those detected, as a share of the hand's size.

    A hand that was not seen gets 0.
    """
    return 0.0 if box.missed else float(np.clip(1 - error / NO_AGREEMENT, 0, 1))


def picture_error(joints_2d: AnyFloats, box: HandBox) -> float:
    """Return the mean distance between joints (21, 2) px and those detected, as a share of the hand's size."""
    apart = joints_2d - box.joints_2d
    return float(np.hypot(apart[:, 0], apart[:, 1]).mean()) / hand_size(box.joints_2d)


def translation_std(translation: AnyFloats, box: HandBox, error: float, camera: Intrinsics) -> Float32Array:
    """Return the standard deviation (3,) m of a translation (3,) m, along x, y and z.

    Depth is as uncertain as the hand's size and the lens; across the line of sight the lens does not matter, because a
    longer one puts the hand as much farther away as it makes its angle smaller. `error` is that of `quality_of`.
    """
    x, y, z = (float(value) for value in translation)
    pixels = error * hand_size(box.joints_2d)
    across = (hypot(HAND_SIZES * at, pixels / f * z) for at, f in ((x, camera.fx), (y, camera.fy)))
    return np.array([*across, z * hypot(HAND_SIZES, camera.focal_std, error)], np.float32)
