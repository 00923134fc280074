"""Left hands are mirrored on the way in and on the way out, since models and networks know right hands alone.

With M the mirror that flips x, a left hand's points are M x and its rotations M R M, where x and R are those of the
right hand in the mirror (`docs/conventions.md`). Right hands pass as they are. Pictures of left hands are mirrored
where crops are cut: `hamba_core.view.crop`, `stages.detection.hand_crop`.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.arrays import Array
from hamba_core.hand.skeleton import Side

MIRROR: Final = np.diag([-1.0, 1.0, 1.0])
"""M, (3, 3): takes a right hand to a left one, and back."""


def mirrored_points(points: NDArray[np.floating], side: Side) -> Array:
    """Return points or vectors (..., 3) of a left hand mirrored, M x, and those of a right hand as they are."""
    mirrored: Array = np.asarray(points, np.float64)
    return mirrored @ MIRROR if side == "left" else mirrored


def mirrored_rotations(rotations: NDArray[np.floating], side: Side) -> Array:
    """Return rotations (..., 3, 3) of a left hand mirrored, M R M, and those of a right hand as they are."""
    mirrored: Array = np.asarray(rotations, np.float64)
    return MIRROR @ mirrored @ MIRROR if side == "left" else mirrored
