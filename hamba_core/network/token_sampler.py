"""The token sampler: a token for each joint, read off the feature map where the joint is."""

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.network.configuration import TOKEN_COLUMNS, TOKEN_ROWS
from hamba_core.network.precision import Conv1d

REACH: Final = 1 - (TOKEN_ROWS - TOKEN_COLUMNS) * 0.5 / TOKEN_ROWS
"""The network takes its features to end at this share of half the crop's width, and joints beyond to be there.

The features really end at 0.75, at the columns that the backbone sees. The released network was trained with 0.875.
"""


class TokenSampler(nn.Module):
    """It samples the features at the joints, bilinearly, and takes the samples through two layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.filters = nn.Sequential(Conv1d(width, width, 1), nn.BatchNorm1d(width), nn.ReLU(), Conv1d(width, width, 1))

    def forward(self, features: Tensor, joints_2d: Tensor) -> Tensor:
        """Take features (B, 512, 16, 12) and joints (B, 21, 2), -0.5..0.5 over the crop, to tokens (B, 512, 21)."""
        places = places_of_joints(joints_2d)[:, :, None]
        sampled = functional.grid_sample(features.float(), places, padding_mode="zeros", align_corners=False)
        tokens: Tensor = self.filters(sampled[..., 0])
        return tokens


def places_of_joints(joints_2d: Tensor) -> Tensor:
    """Return where joints (B, 21, 2), -0.5..0.5 over the crop, are in the feature map, -1..1 over its sides."""
    u, v = (2 * joints_2d).unbind(-1)
    return torch.stack([u.clamp(-REACH, REACH) / REACH, v], -1)
