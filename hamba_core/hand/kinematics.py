"""Kinematics: rotations give the places of a hand's joints, in one walk along the fingers, for NumPy and torch."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Numbers = TypeVar("Numbers", NDArray[np.float64], "Tensor")


def along_fingers(global_orient: Numbers, hand_pose: Numbers, rest: Numbers) -> Iterator[tuple[Numbers, Numbers]]:
    """Yield the finger joints in the world, from rotations (..., 3, 3), (..., 15, 3, 3) and rest joints (..., 16, 3).

    All fingers go outwards from the palm at once, so there are three pairs of rotations (..., 5, 3, 3) and positions
    (..., 5, 3). The wrist, whose rotation is `global_orient`, stays where it rests.
    """
    leading = rest.shape[:-2]
    local, rest_fingers = hand_pose.reshape(*leading, 5, 3, 3, 3), rest[..., 1:, :].reshape(*leading, 5, 3, 3)
    rotation, position, parent_rest = global_orient[..., None, :, :], rest[..., :1, :], rest[..., :1, :]
    for i in range(3):
        bone = rest_fingers[..., i, :] - parent_rest
        position = position + (rotation @ bone[..., None])[..., 0]
        rotation = rotation @ local[..., i, :, :]
        parent_rest = rest_fingers[..., i, :]
        yield rotation, position
