"""The read-out takes features to the hand's parameters; joint regressor and GSS head both end with it."""

from typing import NamedTuple

import roma
import torch
from torch import Tensor, nn


class HandParameters(NamedTuple):
    """A right hand, as seen in the crop."""

    rotations: Tensor  # (B, 16, 3, 3), model order, the wrist's first
    betas: Tensor  # (B, 10)
    camera: Tensor  # (B, 3): s, t_x, t_y


class Readout(nn.Module):
    """Mean parameters plus what three linear layers add to them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.init_hand_pose = nn.Parameter(torch.empty(1, 96))
        self.init_betas = nn.Parameter(torch.empty(1, 10))
        self.init_cam = nn.Parameter(torch.empty(1, 3))
        self.decpose = nn.Linear(width, 96)
        self.decshape = nn.Linear(width, 10)
        self.deccam = nn.Linear(width, 3)

    def forward(self, features: Tensor) -> HandParameters:
        """Read hands out of features (B, width), float32."""
        pose = self.init_hand_pose + self.decpose(features)
        return HandParameters(
            rotations=rotations_from_6d(pose.view(-1, 16, 6)),
            betas=self.init_betas + self.decshape(features),
            camera=self.init_cam + self.deccam(features),
        )


def rotations_from_6d(numbers: Tensor) -> Tensor:
    """Convert (..., 6), two columns of a matrix one after the other, to rotations (..., 3, 3).

    Zhou et al., "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019.
    """
    rotations: Tensor = roma.special_gramschmidt(numbers.view(*numbers.shape[:-1], 2, 3).mT, epsilon=1e-12)
    return rotations
