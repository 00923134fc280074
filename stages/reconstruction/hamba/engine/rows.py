"""The network's answer is one row of numbers for each hand, so that it comes back from the device in one copy."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hamba_core.arrays import Float32Array

if TYPE_CHECKING:
    from torch import Tensor

    from hamba_core.network import HambaOutput


class CropOutput(NamedTuple):
    """The network's answer for one crop: a right hand."""

    camera: Float32Array  # (3,)
    global_orient: Float32Array  # (3, 3)
    hand_pose: Float32Array  # (15, 3, 3)
    betas: Float32Array  # (10,)
    joints: Float32Array  # (21, 3) m
    vertices: Float32Array  # (V, 3) m


_SHAPES = ((3,), (3, 3), (15, 3, 3), (10,), (21, 3), (-1, 3))
_ENDS = np.cumsum([np.prod(shape) for shape in _SHAPES[:-1]])


def row_width(vertices: int) -> int:
    """Return how many numbers a row has, for a hand model of so many vertices."""
    return int(_ENDS[-1]) + 3 * vertices


def write_rows(output: "HambaOutput", rows: "Tensor") -> None:
    """Put the answer for B crops into rows (B, `row_width`)."""
    import torch

    torch.cat([getattr(output, name).flatten(1) for name in CropOutput._fields], 1, out=rows)


def read_row(row: Float32Array) -> CropOutput:
    """Return the answer in one row, as views of it."""
    return CropOutput(*(part.reshape(shape) for part, shape in zip(np.split(row, _ENDS), _SHAPES, strict=True)))
