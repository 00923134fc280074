"""The four scans of a block, summed, normalised, in the dtype of the product after them."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.network import launching
from hamba_core.network.early_start import begin_kernel
from hamba_core.network.fused.norm import normed


def plain_merge(scans: Tensor, norm: nn.LayerNorm, dtype: torch.dtype) -> Tensor:
    """Take scans (B, K, L, C), float32, to the norm of their sum over K: (B * L, C)."""
    return (
        functional.layer_norm(scans.sum(1), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
        .to(dtype)
        .flatten(0, 1)
    )


def fused_merge(scans: Tensor, norm: nn.LayerNorm, dtype: torch.dtype) -> Tensor:
    """Return what `plain_merge` does, in one kernel."""
    batch, directions, length, width = scans.shape
    y = torch.empty(batch * length, width, dtype=dtype, device=scans.device)
    launching.launch(
        _merge, (length, batch), scans, norm.weight, norm.bias, y, norm.eps, length, width,
        DIRECTIONS=directions, WIDTH=triton.next_power_of_2(width), num_warps=4,
    )  # fmt: skip
    return y


@triton.jit  # type: ignore[untyped-decorator]
def _merge(  # type: ignore[no-untyped-def]
    scans_at, weight_at, bias_at, y_at, eps, length, width,
    DIRECTIONS: tl.constexpr, WIDTH: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    place, b, c = tl.program_id(0), tl.program_id(1), tl.arange(0, WIDTH)
    known = c < width
    x = tl.zeros((WIDTH,), tl.float32)
    for k in tl.static_range(DIRECTIONS):
        x += tl.load(scans_at + ((b * DIRECTIONS + k) * length + place) * width + c, known, 0.0)
    y = normed(x, known, weight_at, bias_at, c, eps, width)
    tl.store(y_at + (b * length + place) * width + c, y.to(y_at.dtype.element_ty), known)
