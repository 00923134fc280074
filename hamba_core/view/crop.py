"""A crop is cut out of a square in a picture: the network's input, scaled to 256 px and normalised.

It is cut by taps: each sample is made of the few pixels that it needs. On a GPU `crop_matrices` takes the
same samples.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from hamba_core.errors import first_line
from hamba_core.hand import Side
from hamba_core.network import CROP_SIZE
from hamba_core.view.crop_matrices import crop_by_products
from hamba_core.view.square import Square

_FAULT = 4e-3
"""Of the range of grey: more than float16 makes of the products and of the kernels together."""


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
    crops = torch.stack([_cut(image, square, side == "left") for square, side in zip(squares, sides, strict=True)])
    return _normalised(crops, *(torch.tensor(v, dtype=torch.float32, device=image.device) for v in (mean, std)))


def cut_batch(
    pictures: Tensor,
    squares: Tensor,
    mirrored: Tensor,
    which: Tensor,
    mean: Tensor,
    std: Tensor,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Cut squares out of several pictures (N, H, W, 3) of one shape, with everything on one device.

    `squares` (B, 3) are x, y and side; `mirrored` (B,) bool is true of left hands; `which` (B,) int64 is each hand's
    picture; `mean` and `std` (3,). On a GPU nothing is read back and shapes depend on those of what is given alone: it
    can be captured in a CUDA graph. There `dtype` is that of the products; in float16, for a network of reduced
    precision, numbers are within a thousandth of the range of grey.
    """
    if pictures.device.type != "cpu":
        return _normalised(crop_by_products(pictures, squares, mirrored, which, dtype), mean, std)
    hands = zip(squares.tolist(), mirrored.tolist(), which.tolist(), strict=True)
    crops = [_cut(pictures[picture], Square(*square), mirror) for square, mirror, picture in hands]
    return _normalised(torch.stack(crops), mean, std)


def cut_places(
    pictures: Tensor,
    places: Tensor,
    mean: Tensor,
    std: Tensor,
    out: Tensor,
    dtype: torch.dtype = torch.float32,
    *,
    fused: bool = False,
) -> None:
    """Cut a batch into `out` (B, 3, 256, 256); `fused` does it in two kernels, on CUDA with Triton alone.

    `places` (B, 5), float32, hold each hand's x, y, side, mirrored (above 0) and picture; else see `cut_batch`.
    """
    if fused:
        from hamba_core.view.crop_kernels import fused_crops

        fused_crops(pictures, places, mean, std, out, dtype)
    else:
        hands = places[:, :3], places[:, 3] > 0, places[:, 4].long()
        out.copy_(cut_batch(pictures, *hands, mean, std, dtype))


@torch.inference_mode()
def fault_of_fused_crops(device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why crops cannot be cut by fused kernels on this device; None where they are those of the products."""
    random = torch.Generator().manual_seed(0)
    pictures = torch.randint(0, 256, (2, 120, 160, 3), dtype=torch.uint8, generator=random).to(device)
    places = torch.tensor([[80.0, 60, 90, 1, 1], [20, 30, 700, 0, 0]], device=device)
    mean, std = torch.zeros(3, device=device), torch.ones(3, device=device)
    found, expected = (torch.empty(2, 3, CROP_SIZE, CROP_SIZE, device=device) for _ in range(2))
    try:
        cut_places(pictures, places, mean, std, expected, dtype)
        cut_places(pictures, places, mean, std, found, dtype, fused=True)
        error = float((found - expected).abs().max())
    except Exception as failure:  # noqa: BLE001 - whatever a kernel, its compiler or a missing C compiler raises
        return f"it failed: {first_line(failure)}"
    return None if error < _FAULT else f"it is off by {error:.1e} of the range of grey"


def _normalised(crops: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    return (crops / 255 - mean[:, None, None]) / std[:, None, None]


def _cut(image: Tensor, square: Square, mirrored: bool) -> Tensor:
    """Return a crop (3, 256, 256), 0..255. The map has no rotation, so rows and columns are resampled in turn."""
    height, width = image.shape[:2]
    step = square.side / CROP_SIZE
    places = (torch.arange(CROP_SIZE, dtype=torch.float64) - CROP_SIZE / 2) * step
    # A picture's first pixel has its middle at 0.5.
    rows, row_shares = _taps(square.y - 0.5 + places, height, step)
    columns, column_shares = _taps(square.x - 0.5 + (-places if mirrored else places), width, step)
    left, right = int(columns.min()), int(columns.max()) + 1
    resampled = _mix(image[:, left:right], rows, row_shares)  # (256, right - left, 3)
    return _mix(resampled.transpose(0, 1), columns - left, column_shares).permute(2, 1, 0)


def _mix(lines: Tensor, taps: Tensor, shares: Tensor) -> Tensor:
    """Mix lines (n, ...): each of 256 new ones is the sum of its taps (256, T) in their shares (256, T)."""
    taps, shares = taps.to(lines.device), shares.to(lines.device)
    mixed = torch.zeros(len(taps), *lines.shape[1:], device=lines.device)
    for tap, share in zip(taps.unbind(1), shares.unbind(1), strict=True):
        mixed.addcmul_(lines[tap].float(), share[:, None, None])
    return mixed


def _taps(places: Tensor, length: int, step: float) -> tuple[Tensor, Tensor]:
    """Return which pixels along a picture's side make up a sample at each of 256 places, and in which shares: (256, T).

    A sample is bilinear, of the blurred picture: it has two neighbours, each a Gaussian mean of pixels, of which those
    beyond the border repeat the last one. Samples beyond the border are black.
    """
    kernel = _blur_kernel(step)
    reach = len(kernel) // 2
    below = places.floor()
    fraction = places - below
    neighbours = torch.stack([below, below + 1], 1).long()  # (256, 2)
    weights = torch.stack([1 - fraction, fraction], 1) * ((neighbours >= 0) & (neighbours < length))
    shares = torch.zeros(len(places), len(kernel) + 1, dtype=torch.float64)
    shares[:, :-1] += weights[:, :1] * kernel
    shares[:, 1:] += weights[:, 1:] * kernel
    pixels = neighbours[:, :1] + torch.arange(-reach, reach + 2)
    return pixels.clamp(0, length - 1), shares.float()


def _blur_kernel(step: float) -> Tensor:
    """Return weights of a Gaussian over neighbouring pixels, cut at four sigma; a single 1 where no blur is needed."""
    if step / 2 <= 1.1:
        return torch.ones(1, dtype=torch.float64)
    sigma = (step / 2 - 1) / 2
    reach = int(4 * sigma + 0.5)
    weights = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2)
    return weights / weights.sum()
