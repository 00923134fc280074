"""Crops as rows of patches, so that the patch embedding is one product."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional

from hamba_core.network import launching
from hamba_core.network.configuration import CROP_SIZE, TOKEN_COLUMNS, TOKEN_ROWS
from hamba_core.network.early_start import begin_kernel

PATCH, PADDING = 16, 2
_MARGIN = (CROP_SIZE - TOKEN_COLUMNS * PATCH) // 2
_NUMBERS = 3 * PATCH * PATCH


def plain_patches(crops: Tensor, dtype: torch.dtype) -> Tensor:
    """Take crops (B, 3, 256, 256) to their patches (B * 192, 768) as the patch embedding's weights lie: channel, y, x.

    The backbone sees the middle 192 columns, with zeros around.
    """
    seen = crops[..., _MARGIN : CROP_SIZE - _MARGIN].float()
    return functional.unfold(seen, PATCH, padding=PADDING, stride=PATCH).mT.flatten(0, 1).to(dtype)


def fused_patches(crops: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what `plain_patches` does, in one kernel."""
    count = len(crops) * TOKEN_ROWS * TOKEN_COLUMNS
    y = torch.empty(count, _NUMBERS, dtype=dtype, device=crops.device)
    launching.launch(
        _patches, (count,), crops, y, SIZE=CROP_SIZE, MARGIN=_MARGIN, ROWS=TOKEN_ROWS, COLUMNS=TOKEN_COLUMNS,
        PATCH=PATCH, PADDING=PADDING, NUMBERS=_NUMBERS, BLOCK=triton.next_power_of_2(_NUMBERS), num_warps=4,
    )  # fmt: skip
    return y


@triton.jit  # type: ignore[untyped-decorator]
def _patches(  # type: ignore[no-untyped-def]
    crops_at, y_at, SIZE: tl.constexpr, MARGIN: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    PATCH: tl.constexpr, PADDING: tl.constexpr, NUMBERS: tl.constexpr, BLOCK: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    token, n = tl.program_id(0), tl.arange(0, BLOCK)
    hand, row, column = token // (ROWS * COLUMNS), token // COLUMNS % ROWS, token % COLUMNS
    channel, i, j = n // (PATCH * PATCH), n // PATCH % PATCH, n % PATCH
    y, x = row * PATCH + i - PADDING, column * PATCH + j - PADDING + MARGIN
    inside = (n < NUMBERS) & (y >= 0) & (y < SIZE) & (x >= MARGIN) & (x < SIZE - MARGIN)
    pixel = tl.load(crops_at + ((hand * 3 + channel) * SIZE + y) * SIZE + x, inside, 0.0)
    tl.store(y_at + token * NUMBERS + n, pixel.to(y_at.dtype.element_ty), n < NUMBERS)
