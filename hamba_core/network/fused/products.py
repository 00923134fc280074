"""Matrix products with what surrounds them taken in: GELU, the cast to float32, the sum onto the residual stream.

Weights are (out, in), as in linear layers; rows are (n, in) in the weights' dtype.
"""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional

from hamba_core.network import launching
from hamba_core.network.early_start import begin_kernel


def gelu_product(rows: Tensor, weight: Tensor, bias: Tensor, *, fused: bool) -> Tensor:
    """Return GELU(rows @ weight.T + bias).

    cuBLAS has the tanh form for its epilogue. It is off by 1.3e-4 (rms) where bfloat16's rounding is by 1.1e-3, so it
    is used with that alone.
    """
    if fused and weight.dtype == torch.bfloat16:
        return torch._addmm_activation(bias, rows, weight.t(), use_gelu=True)
    return functional.gelu(functional.linear(rows, weight, bias))


def relu_product(rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return ReLU(rows @ weight.T + bias), which torch has in one kernel on any device."""
    return torch._addmm_activation(bias, rows, weight.t())


def float32_product(rows: Tensor, weight: Tensor, *, fused: bool) -> Tensor:
    """Return rows @ weight.T in float32, as the sums inside the product are; without a cast of its own if fused."""
    if not fused:
        return functional.linear(rows.float(), weight.float())
    if weight.dtype == torch.float32:
        return functional.linear(rows, weight)
    product: Tensor = torch.mm(rows, weight.t(), out_dtype=torch.float32)
    return product


def add_product(x: Tensor, rows: Tensor, weight: Tensor, *, fused: bool, split: bool = False) -> None:
    """Add rows @ weight.T onto x (n, out), float32, in place: by the product itself if fused."""
    if split:
        _add_split_product(x, rows, weight)
    elif not fused:
        x += functional.linear(rows, weight)
    elif weight.dtype == torch.float32:
        torch.addmm(x, rows, weight.t(), out=x)
    else:
        # The overload for cuBLAS's mixed types; `out` is what it adds to, so nothing is copied.
        torch.ops.aten.addmm.dtype_out(x, rows, weight.t(), torch.float32, out=x)


_TILE, _SPLITS = (64, 128, 64), 4
"""Rows and columns of x that a program computes, the step along what is summed; programs that share a tile's sum. With
384 rows and 1280 columns that makes 240 programs, where a product without splits has 60 for 132 multiprocessors."""


def _add_split_product(x: Tensor, rows: Tensor, weight: Tensor) -> None:
    """Add rows @ weight.T onto x: programs sum shares of the long side and add them atomically, in any order."""
    count, outputs, inputs = len(rows), *weight.shape
    tall, wide, step = _TILE
    share = triton.cdiv(triton.cdiv(inputs, _SPLITS), step) * step
    grid = (triton.cdiv(count, tall), triton.cdiv(outputs, wide), triton.cdiv(inputs, share))
    launching.launch(
        _split, grid, x, rows, weight, count, outputs, inputs, share,
        TALL=tall, WIDE=wide, STEP=step, num_warps=4, num_stages=4,
    )  # fmt: skip


@triton.jit  # type: ignore[untyped-decorator]
def _split(  # type: ignore[no-untyped-def]
    x_at, rows_at, weight_at, count, outputs, inputs, share,
    TALL: tl.constexpr, WIDE: tl.constexpr, STEP: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    r = tl.program_id(0) * TALL + tl.arange(0, TALL)
    c = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    begin = tl.program_id(2) * share
    end = tl.minimum(begin + share, inputs)
    total = tl.zeros((TALL, WIDE), tl.float32)
    for start in range(begin, end, STEP):
        k = start + tl.arange(0, STEP)
        a = tl.load(rows_at + r[:, None] * inputs + k[None, :], (r < count)[:, None] & (k < end)[None, :], 0.0)
        b = tl.load(weight_at + c[None, :] * inputs + k[:, None], (c < outputs)[None, :] & (k < end)[:, None], 0.0)
        total = tl.dot(a, b, total, input_precision="ieee")
    inside = (r < count)[:, None] & (c < outputs)[None, :]
    tl.atomic_add(x_at + r[:, None] * outputs + c[None, :], total, inside, sem="relaxed")
