"""Crops cut on a GPU: the same samples as `hamba_core.view.crop` takes, as dense matrix products of fixed shapes.

Nothing here depends on a number that the host would have to read, so that the work can be captured in a CUDA graph:
which pixels make up a sample is a matrix over a whole side of the picture, most of it zero, built on the device.
"""

import torch
from torch import Tensor

from hamba_core.network import CROP_SIZE


def crop_by_products(
    pictures: Tensor, squares: Tensor, mirrored: Tensor, which: Tensor, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Return crops (B, 3, 256, 256) float32, 0..255, of pictures (N, H, W, 3) uint8; else see `crop.cut_batch`.

    `dtype` is that of the products: float16 holds a pixel exactly and a share to 1/4096.
    """
    height, width = pictures.shape[1:3]
    x, y, side = squares.double()[:, :, None].unbind(1)  # (B, 1) each
    step = side / CROP_SIZE
    places = (torch.arange(CROP_SIZE, device=squares.device) - CROP_SIZE / 2) * step
    # A picture's first pixel has its middle at 0.5.
    rows = _shares(y - 0.5 + places, step, height, reach=max(height, width)).to(dtype)
    columns = _shares(
        x - 0.5 + torch.where(mirrored[:, None], -places, places), step, width, reach=max(height, width)
    ).to(dtype)
    # Hand by hand: a picture in floats is larger than everything else here together.
    crops = []
    for hand in range(len(squares)):
        picture = pictures.index_select(0, which[hand : hand + 1])[0].to(dtype)
        mixed_rows = picture.flatten(1).mT @ rows[hand].mT  # (W * 3, 256)
        mixed = columns[hand] @ mixed_rows.view(width, 3 * CROP_SIZE)
        crops.append(mixed.view(CROP_SIZE, 3, CROP_SIZE).permute(1, 2, 0))
    return torch.stack(crops).float()


def _shares(places: Tensor, step: Tensor, length: int, reach: int) -> Tensor:
    """Return the shares of each of a side's pixels in samples at `places` (B, 256): (B, 256, length).

    With G the blur's kernel summed up from the left, pixels up to p have the share G(p - c) in the blurred pixel c; the
    first pixel has what lies before the border too and the last one what lies beyond it.
    """
    below = places.floor()
    fraction = places - below
    summed = _summed_kernel(step, reach)  # (B, 2 * reach + 2)
    borders = torch.arange(-1, length, device=places.device)  # after pixel -1, 0, 1, ...
    shares = torch.zeros((), device=places.device)
    for neighbour, weight in ((below, 1 - fraction), (below + 1, fraction)):
        inside = (neighbour >= 0) & (neighbour < length)  # samples beyond the border are black
        at = (borders - neighbour.long()[..., None] + reach + 1).clamp(0, 2 * reach + 1)
        so_far = summed.gather(1, at.flatten(1)).view(at.shape)
        so_far[..., 0], so_far[..., -1] = 0, 1
        shares = shares + (weight * inside).float()[..., None] * so_far.diff()
    return shares


def _summed_kernel(step: Tensor, reach: int) -> Tensor:
    """Return the Gaussian of `crop`, summed up: at k + reach + 1 the weights up to place k; (B, 2 * reach + 2)."""
    k = torch.arange(-reach - 1, reach + 1, device=step.device)
    sigma = ((step / 2 - 1) / 2).clamp_min(1e-3)  # so narrow that all is in the middle
    end = (4 * sigma + 0.5).floor()
    end = torch.where(step / 2 > 1.1, end, 0)
    weights = torch.exp(-0.5 * (k / sigma) ** 2) * (k.abs() <= end) * (k >= -reach)
    return (weights.cumsum(1) / weights.sum(1, keepdim=True)).float()
