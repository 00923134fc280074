"""From a square in a picture to the network's input: cut out, scaled to 256 px, normalised."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hamba_core.configuration import CROP_SIZE
from hamba_core.skeleton import Side
from hamba_core.square import Square


def cut_crops(
    image: Tensor,
    squares: Sequence[Square],
    sides: Sequence[Side],
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Cut squares out of a picture (H, W, 3) uint8 RGB: (B, 3, 256, 256), float32, normalised, on the picture's device.

    Left hands are mirrored. Where a crop is much smaller than what it shows, the picture is blurred first
    (Gaussian, sigma = (d - 1) / 2 where d = side / 512 is above 1.1); outside the picture is black.
    """
    if not squares:
        return torch.empty(0, 3, CROP_SIZE, CROP_SIZE, device=image.device)
    crops = torch.stack([_cut(image, square, side) for square, side in zip(squares, sides, strict=True)])
    offset, scale = (torch.tensor(v, dtype=torch.float32, device=image.device)[:, None, None] for v in (mean, std))
    return (crops / 255 - offset) / scale


def _cut(image: Tensor, square: Square, side: Side) -> Tensor:
    """(3, 256, 256), 0..255. The map has no rotation, so rows and columns are resampled one after the other."""
    height, width = image.shape[:2]
    step = square.side / CROP_SIZE
    places = (torch.arange(CROP_SIZE, dtype=torch.float64) - CROP_SIZE / 2) * step
    # A picture's first pixel has its middle at 0.5.
    rows, top = _resampling(square.y - 0.5 + places, height, step)
    columns, left = _resampling(square.x - 0.5 + (places if side == "right" else -places), width, step)
    region = image[top : top + rows.shape[1], left : left + columns.shape[1]].permute(2, 0, 1).float()
    return rows.to(image.device) @ region @ columns.to(image.device).mT


def _resampling(places: Tensor, length: int, step: float) -> tuple[Tensor, int]:
    """How each of 256 places along a side of a picture is mixed from its pixels: (256, n), and the first pixel's index.

    A bilinear sample of the blurred picture: two neighbours, each a Gaussian mean of pixels, of which those beyond
    the border repeat the last one. Samples beyond the border are black.
    """
    kernel = _blur_kernel(step)
    reach = len(kernel) // 2
    below = places.floor()
    fraction = places - below
    neighbours = torch.stack([below, below + 1], 1).long()  # (256, 2)
    shares = torch.stack([1 - fraction, fraction], 1) * ((neighbours >= 0) & (neighbours < length))
    pixels = (neighbours[..., None] + torch.arange(-reach, reach + 1)).clamp(0, length - 1)
    first, last = int(pixels.min()), int(pixels.max())
    mixing = torch.zeros(len(places), last - first + 1, dtype=torch.float64)
    mixing.scatter_add_(1, pixels.flatten(1) - first, (shares[..., None] * kernel).flatten(1))
    return mixing.float(), first


def _blur_kernel(step: float) -> Tensor:
    """Weights of a Gaussian over neighbouring pixels, cut at four sigma; a single 1 where no blur is needed."""
    if step / 2 <= 1.1:
        return torch.ones(1, dtype=torch.float64)
    sigma = (step / 2 - 1) / 2
    reach = int(4 * sigma + 0.5)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    return weights / weights.sum()
