"""MANO's mean pose and its directions of pose: some data sets give poses about the one, along the others."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import HandModelError, error_reason
from hamba_core.hand import mano_pickle
from hamba_core.untrusted import NotArraysError, read_pickled_arrays

_NAMES = ("hands_mean", "hands_components")


@dataclass(frozen=True, eq=False)
class PoseSpace:
    """Of the right hand; a left one's is its mirror image."""

    mean: Array  # (45,) rotation vectors of 15 joints
    components: Array  # (45, 45) a direction a row

    def about_mean(self, vectors: Array) -> Array:
        """Rotation vectors (45,) that are given about the mean pose -> those about the open hand."""
        return self.mean + vectors

    def along_components(self, shares: Array) -> Array:
        """Take shares (45,) of the directions, about the mean pose, to rotation vectors (45,) about the open hand."""
        return self.mean + shares @ self.components


def read_pose_space(path: Path) -> PoseSpace:
    """Read it from the user's MANO_RIGHT.pkl, its folder or archive. Raises HandModelError."""
    advice = "give MANO_RIGHT.pkl (docs/model.md)"
    try:
        arrays = read_pickled_arrays(mano_pickle(path), _NAMES)
    except (OSError, NotArraysError, zipfile.BadZipFile) as error:
        raise HandModelError(f"{path}: expected MANO's pickle, found: {error_reason(error)}; {advice}") from error
    if set(arrays) != set(_NAMES) or arrays["hands_mean"].size != 45 or arrays["hands_components"].shape != (45, 45):
        found = {name: array.shape for name, array in arrays.items()}
        raise HandModelError(
            f"{path}: expected hands_mean (45,) and hands_components (45, 45), found {found}; {advice}"
        )
    return PoseSpace(arrays["hands_mean"].astype(np.float64).ravel(), arrays["hands_components"].astype(np.float64))
