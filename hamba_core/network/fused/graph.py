"""The graph layer of the GSS head around its 42 products: joints gathered before, mixed and put back after."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from hamba_core.network import launching
from hamba_core.network.early_start import begin_kernel
from hamba_core.network.heads import JOINTS

_CHANNELS = 128


def plain_gather(x: Tensor, pending: Tensor, dtype: torch.dtype) -> Tensor:
    """Take the joints' tokens of x + pending, (B, 22, C) float32, to (42, B, C): every joint twice, for its two
    products."""
    joints = (x[:, :JOINTS] + pending).transpose(0, 1).to(dtype)
    return torch.cat([joints, joints])


def fused_gather(x: Tensor, pending: Tensor, dtype: torch.dtype) -> Tensor:
    """Return what `plain_gather` does, in one kernel."""
    batch, tokens, width = x.shape
    y = torch.empty(2 * JOINTS, batch, width, dtype=dtype, device=x.device)
    launching.launch(
        _gather, (2 * JOINTS, batch), x, pending, y, batch, tokens, width,
        JOINTS=JOINTS, WIDTH=triton.next_power_of_2(width), num_warps=4,
    )  # fmt: skip
    return y


def plain_mix(x: Tensor, products: Tensor, mixing: Tensor, scale: Tensor, shift: Tensor, pending: Tensor) -> None:
    """Put relu(scale (itself + mixing @ offered) + shift) in place of the joints' tokens in x (B, 22, C), in place.

    `products` (42, B, C) are what each joint keeps of itself and then what it offers; `mixing` is (21, 21). The token
    that is no joint's gets what is pending.
    """
    itself, offered = products.float().view(2, JOINTS, *products.shape[1:]).transpose(1, 2).unbind()  # (B, 21, C)
    x[:, :JOINTS] = ((itself + mixing @ offered) * scale + shift).relu()
    x[:, JOINTS:] += pending


def fused_mix(x: Tensor, products: Tensor, mixing: Tensor, scale: Tensor, shift: Tensor, pending: Tensor) -> None:
    """Do what `plain_mix` does, in one kernel."""
    batch, tokens, width = x.shape
    launching.launch(
        _mix, (batch, triton.cdiv(width, _CHANNELS)), x, products, mixing, scale, shift, pending, batch, tokens, width,
        JOINTS=JOINTS, TOKENS=triton.next_power_of_2(JOINTS + 1), CHANNELS=_CHANNELS, num_warps=4,
    )  # fmt: skip


@triton.jit(do_not_specialize=["batch"])  # type: ignore[untyped-decorator]
def _gather(  # type: ignore[no-untyped-def]
    x_at, pending_at, y_at, batch, tokens, width, JOINTS: tl.constexpr, WIDTH: tl.constexpr, EARLY: tl.constexpr
):
    begin_kernel(EARLY)
    place, b, c = tl.program_id(0), tl.program_id(1), tl.arange(0, WIDTH)
    known = c < width
    x = tl.load(x_at + (b * tokens + place % JOINTS) * width + c, known, 0.0) + tl.load(pending_at + c, known, 0.0)
    tl.store(y_at + (place * batch + b) * width + c, x.to(y_at.dtype.element_ty), known)


@triton.jit(do_not_specialize=["batch"])  # type: ignore[untyped-decorator]
def _mix(  # type: ignore[no-untyped-def]
    x_at, products_at, mixing_at, scale_at, shift_at, pending_at, batch, tokens, width,
    JOINTS: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    b, j = tl.program_id(0), tl.arange(0, TOKENS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known, is_joint = c < width, j < JOINTS
    inside = is_joint[:, None] & known[None, :]
    total = tl.load(products_at + (j * batch + b)[:, None] * width + c[None, :], inside, 0.0).to(tl.float32)
    for i in range(JOINTS):
        offered = tl.load(products_at + ((JOINTS + i) * batch + b) * width + c, known, 0.0).to(tl.float32)
        total += tl.load(mixing_at + j * JOINTS + i, is_joint, 0.0)[:, None] * offered[None, :]
    y = total * tl.load(scale_at + c, known, 0.0)[None, :] + tl.load(shift_at + c, known, 0.0)[None, :]
    at = x_at + (b * tokens + j)[:, None] * width + c[None, :]
    # The last rows of the tile are the other tokens: they keep what they have, with what is pending.
    rest = (j >= JOINTS)[:, None] & (j < tokens)[:, None] & known[None, :]
    kept = tl.load(at, rest, 0.0) + tl.load(pending_at + c, known, 0.0)[None, :]
    tl.store(at, tl.where(is_joint[:, None], tl.maximum(y, 0.0), kept), inside | rest)
