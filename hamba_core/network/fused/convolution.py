"""The depthwise 3 x 3 convolution of a VSS block, SiLU and the cast, on channels-last maps."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional

from hamba_core.network import launching
from hamba_core.network.early_start import begin_kernel

_PLACES, _CHANNELS = 8, 128
"""What a program computes: so many places, which share most of what they read, and channels, a run of memory."""


def plain_convolution(x: Tensor, taps: Tensor, bias: Tensor | None) -> Tensor:
    """Return SiLU of the convolution with padding 1: (B, H, W, C), taps (9, C) float32 -> (B, H, W, C) in x's dtype."""
    kernel = taps.T.reshape(-1, 1, 3, 3)
    y = functional.conv2d(x.permute(0, 3, 1, 2).float(), kernel, bias, padding=1, groups=len(kernel))
    return functional.silu(y).permute(0, 2, 3, 1).to(x.dtype)


def fused_convolution(x: Tensor, taps: Tensor, bias: Tensor | None) -> Tensor:
    """Return what `plain_convolution` does, in one kernel; sums are float32."""
    batch, height, width, channels = x.shape
    y = torch.empty_like(x)
    grid = (triton.cdiv(batch * height * width, _PLACES), triton.cdiv(channels, _CHANNELS))
    launching.launch(
        _convolve, grid, x, taps, taps if bias is None else bias, y, batch * height * width, height, width, channels,
        BIAS=bias is not None, COLUMN=width == 1, PLACES=_PLACES, CHANNELS=_CHANNELS, num_warps=4,
    )  # fmt: skip
    return y


@triton.jit  # type: ignore[untyped-decorator]
def _convolve(  # type: ignore[no-untyped-def]
    x_at, taps_at, bias_at, y_at, places, height, width, channels,
    BIAS: tl.constexpr, COLUMN: tl.constexpr, PLACES: tl.constexpr, CHANNELS: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    place = tl.program_id(0) * PLACES + tl.arange(0, PLACES)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known, row, column = c < channels, place // width % height, place % width
    total = tl.zeros((PLACES, CHANNELS), tl.float32)
    if BIAS:
        total += tl.load(bias_at + c, known, 0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(9):
        # On a map of one column all but the kernel's middle column meets padding.
        if not COLUMN or tap % 3 == 1:
            down, right = tap // 3 - 1, tap % 3 - 1
            inside = (row + down >= 0) & (row + down < height) & (column + right >= 0) & (column + right < width)
            inside = (inside & (place < places))[:, None] & known[None, :]
            at = (place + down * width + right)[:, None] * channels + c[None, :]
            x = tl.load(x_at + at, inside, 0.0).to(tl.float32)
            total += x * tl.load(taps_at + tap * channels + c, known, 0.0)[None, :]
    y = total / (1.0 + tl.exp(-total))
    inside = (place < places)[:, None] & known[None, :]
    tl.store(y_at + place[:, None] * channels + c[None, :], y.to(y_at.dtype.element_ty), inside)
