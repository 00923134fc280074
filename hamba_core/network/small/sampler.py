"""The token sampler over several maps: at each joint, what every map has there."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def sample_maps(maps: Sequence[Tensor], places: Tensor) -> Tensor:
    """Take maps (B, C_i, H_i, W_i) of one crop each and places (B, N, 2) in [-1, 1] to tokens (B, N, sum of C_i).

    Bilinear; beyond the crop is what its border has.
    """
    grid = places[:, :, None].float()
    samples = [
        functional.grid_sample(each.float(), grid, padding_mode="border", align_corners=False)[..., 0] for each in maps
    ]
    return torch.cat(samples, 1).mT
