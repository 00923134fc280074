"""hamba-s in ONNX Runtime: from a look at crops and a first estimate to corrected hands."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from hamba_core.arrays import Array, Float32Array
from stages.assets import HAMBA_S, HAMBA_S_SHA256
from stages.detection import CROP_SIDE, open_session

_MEND: Final = "install hamba-stream again, or make it with hamba train"
_OUTPUTS: Final = ("rotations", "betas", "wrist")


class ViewedHands(NamedTuple):
    """B right hands in their views."""

    rotations: Array  # (B, 16, 3, 3), model order, the wrist's first
    betas: Array  # (B, 10)
    wrist: Array  # (B, 3) m


class SmallNetwork:
    """The network, loaded. Use it from one thread at a time. Raises DependencyError, WeightsError."""

    def __init__(self, path: Path = HAMBA_S, sha256: str | None = HAMBA_S_SHA256) -> None:
        self._session: Any = open_session(path, sha256, _MEND)

    def correct(
        self,
        maps: Sequence[Float32Array],
        landmarks: Float32Array,
        world: Float32Array,
        rays: Array,
        focal_lengths: Array,
        first: ViewedHands,
    ) -> ViewedHands:
        """B hands, from what looks at their crops saw (`stages.packets.HandLook`).

        Maps (B, ...) fine to coarse, then the vector; `landmarks` (B, 21, 3) px of the crops and `world` (B, 21, 3) m.
        `rays` (B, 21, 2) are the landmarks' in the views, `focal_lengths` (B,) the views', half crops.
        """
        half = CROP_SIDE / 2
        fine, middle, coarse, pooled = maps
        inputs = {
            "fine": fine,
            "middle": middle,
            "coarse": coarse,
            "pooled": pooled,
            "places": landmarks[..., :2] / half - 1,
            "landmarks": np.concatenate([rays * focal_lengths[:, None, None], landmarks[..., 2:] / half], -1),
            "world": world,
            "focal_length": focal_lengths,
            "first_rotations": first.rotations,
            "first_betas": first.betas,
            "first_wrist": first.wrist,
        }
        given = self._session.run(
            _OUTPUTS, {name: np.ascontiguousarray(value, np.float32) for name, value in inputs.items()}
        )
        return ViewedHands(*(np.asarray(value, np.float64) for value in given))
