"""Crops cut on a GPU by taps, in two kernels for any number of hands: rows are mixed, then columns, and normalised.

They take the samples of `hamba_core.view.crop`. Which pixels make up a sample is worked out where it is needed; nothing
is read back, and the number of taps may differ from hand to hand, also from one replay of a graph to the next.
"""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from hamba_core.network import CROP_SIZE, begin_kernel, launch

_COLUMNS = 1024
"""Numbers of a picture's row that a program mixes."""


def fused_crops(
    pictures: Tensor, places: Tensor, mean: Tensor, std: Tensor, out: Tensor, dtype: torch.dtype = torch.float32
) -> None:
    """Cut hands out of pictures (N, H, W, 3) uint8 into `out` (B, 3, 256, 256) float32, normalised.

    `places` (B, 5), float32, are each square's x, y and side, whether it is mirrored (above 0), and its picture's
    number. What lies between the two kernels is in `dtype`.
    """
    batch, (height, width) = len(places), pictures.shape[1:3]
    mixed = torch.empty(batch, CROP_SIZE, width * 3, dtype=dtype, device=pictures.device)
    launch(
        _mix_rows, (triton.cdiv(width * 3, _COLUMNS), CROP_SIZE, batch), pictures, places, mixed, height, width,
        CROP=CROP_SIZE, COLUMNS=_COLUMNS, num_warps=4,
    )  # fmt: skip
    launch(
        _mix_columns, (CROP_SIZE, batch), mixed, places, mean, std, out, width, CROP=CROP_SIZE, num_warps=4,
    )  # fmt: skip


@triton.jit
def _blur(step):  # type: ignore[no-untyped-def]
    """Return -1 / (2 sigma^2) of the Gaussian that a step of so many pixels needs, its reach, and 1 / its sum."""
    sigma = tl.maximum((step.to(tl.float32) / 2 - 1) / 2, 1e-3)
    reach = tl.where(step.to(tl.float32) / 2 > 1.1, tl.floor(4 * sigma + 0.5), 0.0).to(tl.int32)
    exponent = -0.5 / (sigma * sigma)
    total = 1.0
    for k in range(1, reach + 1):
        total += 2 * tl.exp(exponent * (k * k))
    return exponent, reach, 1.0 / total


@triton.jit
def _share(t, below, fraction, exponent, reach, length):  # type: ignore[no-untyped-def]
    """Return the share of the pixel t steps from the one below a sample; neighbours beyond the border are black."""
    near = tl.where(below >= 0, tl.where(below < length, 1.0 - fraction, 0.0), 0.0)
    far = tl.where(below >= -1, tl.where(below < length - 1, fraction, 0.0), 0.0)
    # Of the blurs around the two neighbours: -reach..reach steps from each.
    of_near = tl.where(t <= reach, tl.exp(exponent * (t * t)), 0.0)
    of_far = tl.where(t > -reach, tl.exp(exponent * ((t - 1) * (t - 1))), 0.0)
    return near * of_near + far * of_far


@triton.jit  # type: ignore[untyped-decorator]
def _mix_rows(  # type: ignore[no-untyped-def]
    pictures_at, places_at, mixed_at, height, width, CROP: tl.constexpr, COLUMNS: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    row, hand = tl.program_id(1), tl.program_id(2)
    c = tl.program_id(0) * COLUMNS + tl.arange(0, COLUMNS)
    known = c < width * 3
    places_at += 5 * hand
    # Positions are float64, as on the host: in a wide picture float32 has too few digits for a share.
    step = tl.load(places_at + 2).to(tl.float64) / CROP
    # A picture's first pixel has its middle at 0.5.
    place = tl.load(places_at + 1).to(tl.float64) - 0.5 + (row - CROP // 2) * step
    below = tl.floor(place)
    fraction = (place - below).to(tl.float32)
    below = below.to(tl.int32)
    exponent, reach, scale = _blur(step)
    picture = tl.load(places_at + 4).to(tl.int64)
    total = tl.zeros((COLUMNS,), tl.float32)
    for t in range(-reach, reach + 2):
        line = tl.minimum(tl.maximum(below + t, 0), height - 1)
        pixels = tl.load(pictures_at + (picture * height + line) * width * 3 + c, known, 0)
        total += pixels.to(tl.float32) * (_share(t, below, fraction, exponent, reach, height) * scale)
    mixed = mixed_at + (hand.to(tl.int64) * CROP + row) * width * 3 + c
    tl.store(mixed, total.to(mixed_at.dtype.element_ty), known)


@triton.jit  # type: ignore[untyped-decorator]
def _mix_columns(  # type: ignore[no-untyped-def]
    mixed_at, places_at, mean_at, std_at, out_at, width, CROP: tl.constexpr, EARLY: tl.constexpr
):
    begin_kernel(EARLY)
    row, hand, column = tl.program_id(0), tl.program_id(1), tl.arange(0, CROP)
    places_at += 5 * hand
    step = tl.load(places_at + 2).to(tl.float64) / CROP
    offset = tl.where(tl.load(places_at + 3) > 0, CROP // 2 - column, column - CROP // 2)
    place = tl.load(places_at).to(tl.float64) - 0.5 + offset * step
    below = tl.floor(place)
    fraction = (place - below).to(tl.float32)
    below = below.to(tl.int32)
    exponent, reach, scale = _blur(step)
    mixed_at += (hand.to(tl.int64) * CROP + row) * width * 3
    red, green, blue = (tl.zeros((CROP,), tl.float32),) * 3
    for t in range(-reach, reach + 2):
        at = mixed_at + 3 * tl.minimum(tl.maximum(below + t, 0), width - 1)
        share = _share(t, below, fraction, exponent, reach, width) * scale
        red += share * tl.load(at).to(tl.float32)
        green += share * tl.load(at + 1).to(tl.float32)
        blue += share * tl.load(at + 2).to(tl.float32)
    at = out_at + (hand * 3 * CROP + row) * CROP + column
    tl.store(at, (red / 255 - tl.load(mean_at)) / tl.load(std_at))
    tl.store(at + CROP * CROP, (green / 255 - tl.load(mean_at + 1)) / tl.load(std_at + 1))
    tl.store(at + 2 * CROP * CROP, (blue / 255 - tl.load(mean_at + 2)) / tl.load(std_at + 2))
