"""Layer norm of a residual stream that has biases still to be added, in the dtype of the product after it."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.network import launching
from hamba_core.network.early_start import begin_kernel


class PendingNorm:
    """A layer norm of x + pending.

    A product adds its result onto the stream, but not its bias: that would be a kernel more. The biases of all products
    so far are known beforehand; each norm adds their sum to what it reads.
    """

    def __init__(self, norm: nn.LayerNorm, pending: Tensor) -> None:
        self.weight, self.bias, self.eps = norm.weight.detach(), norm.bias.detach(), norm.eps
        self.pending = pending.clone()  # (C,), float32

    def __call__(self, x: Tensor, dtype: torch.dtype, *, fused: bool) -> Tensor:
        """Take rows (n, C), float32, to (n, C) in this dtype."""
        return (fused_norm if fused else plain_norm)(x, self.pending, self.weight, self.bias, self.eps, dtype)


def plain_norm(x: Tensor, pending: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Return the layer norm of rows x + pending."""
    return functional.layer_norm(x + pending, pending.shape, weight, bias, eps).to(dtype)


def fused_norm(x: Tensor, pending: Tensor, weight: Tensor, bias: Tensor, eps: float, dtype: torch.dtype) -> Tensor:
    """Return what `plain_norm` does, in one kernel."""
    rows, width = x.shape
    y = torch.empty(rows, width, dtype=dtype, device=x.device)
    launching.launch(
        _norm, (rows,), x, pending, weight, bias, y, eps, width,
        WIDTH=triton.next_power_of_2(width), num_warps=4,
    )  # fmt: skip
    return y


@triton.jit
def normed(x, known, weight_at, bias_at, c, eps, width):  # type: ignore[no-untyped-def]
    """Normalise one row in registers."""
    mean = tl.sum(x, 0) / width
    centred = tl.where(known, x - mean, 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 0) / width + eps)
    return centred * scale * tl.load(weight_at + c, known, 0.0) + tl.load(bias_at + c, known, 0.0)


@triton.jit  # type: ignore[untyped-decorator]
def _norm(  # type: ignore[no-untyped-def]
    x_at, pending_at, weight_at, bias_at, y_at, eps, width, WIDTH: tl.constexpr, EARLY: tl.constexpr
):
    begin_kernel(EARLY)
    row, c = tl.program_id(0), tl.arange(0, WIDTH)
    known = c < width
    x = tl.load(x_at + row * width + c, known, 0.0) + tl.load(pending_at + c, known, 0.0)
    y = normed(x, known, weight_at, bias_at, c, eps, width)
    tl.store(y_at + row * width + c, y.to(y_at.dtype.element_ty), known)
