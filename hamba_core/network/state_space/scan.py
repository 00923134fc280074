"""The selective scan (Gu and Dao, "Mamba", 2023), in ways that agree.

For each direction k, channel c and state n, along places t = 0 .. L-1:

    h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t        y_t = C_t . h_t + D u_t

`reference` walks along the places and is there to be read. `associative` combines neighbours in a tree of
ceil(log2 L) levels, with plain tensor operations: any device, no kernel to compile, a graph without loops.
`walk` is what training on a CPU uses: it walks too, but goes back through the recurrence by itself, so that nothing but
the states is kept.
`blocked` is for inference on a CPU, in `blocked_scan`, which takes all of SS2D's scans at once too.
`mamba-ssm` is that package's CUDA kernel. `triton` is `cross_scan`, which takes all of SS2D's scans at once.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from hamba_core.errors import DependencyError

SequenceScan = Literal["reference", "associative", "walk", "mamba-ssm"]
"""Kernels that scan any sequence."""

ScanKernel = Literal["reference", "associative", "walk", "blocked", "mamba-ssm", "triton"]


class ScanChoice(NamedTuple):
    """Which scan runs, and why."""

    kernel: ScanKernel
    reason: str


def choose_scan(device: torch.device, wanted: ScanKernel | None = None, *, inference: bool = False) -> ScanChoice:
    """Return the scan for this device: the one wanted, else Triton's on CUDA, mamba-ssm's, or the associative one.

    For `inference` on a CPU it is the blocked one, which works in place: no gradients, and no one graph of it.

    Triton's comes first: it takes the scans of a block in one kernel, mamba-ssm's needs some twenty more around it.

    Raises DependencyError where one is wanted that cannot run.
    """
    installed, triton = (find_spec(name) is not None for name in ("mamba_ssm", "triton"))
    if wanted == "triton" and not (triton and device.type == "cuda"):
        found = f"device {device.type}" if triton else "no triton"
        raise DependencyError(
            f"scan triton: expected the package triton, which comes with torch for CUDA, and a CUDA device, found "
            f"{found}; use the associative scan"
        )
    if wanted == "mamba-ssm" and not (installed and device.type == "cuda"):
        found = f"device {device.type}" if installed else "no mamba-ssm"
        raise DependencyError(
            f"scan mamba-ssm: expected the package mamba-ssm and a CUDA device, found {found}; use the associative "
            "scan, or install it: pip install 'hamba-stream[cuda]'"
        )
    if wanted is not None:
        return ScanChoice(wanted, "configured")
    if device.type != "cuda" and inference:
        return ScanChoice("blocked", f"the fastest for inference on {device.type}")
    if device.type != "cuda":
        return ScanChoice("associative", f"the other kernels need CUDA, the device is {device.type}")
    if triton:
        return ScanChoice("triton", "Triton is installed, on CUDA")
    if installed:
        return ScanChoice("mamba-ssm", "Triton is not installed, mamba-ssm is")
    return ScanChoice("associative", "neither Triton nor mamba-ssm is installed (pip install 'hamba-stream[cuda]')")


def selective_scan(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, *, kernel: SequenceScan = "associative"
) -> Tensor:
    """Scan K directions of c channels with N numbers of state each along L places.

    `u`, `delta` (b, K, L, c), delta > 0; `A` (K, c, N), negative; `B`, `C` (b, K, L, N); `D` (K, c).
    Gives y (b, K, L, c) in u's dtype. Whatever the inputs' dtype, the recurrence itself runs in float32.
    """
    scan: dict[SequenceScan, Callable[..., Tensor]] = {
        "reference": _reference, "associative": _associative, "walk": _walk, "mamba-ssm": _mamba_ssm
    }  # fmt: skip
    return scan[kernel](*(x.float() for x in (u, delta, A, B, C, D))).to(u.dtype)


def _reference(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    h = torch.zeros_like(A)
    y = []
    for t in range(u.shape[2]):
        decay = torch.exp(delta[:, :, t, :, None] * A)
        h = decay * h + (delta[:, :, t] * u[:, :, t])[..., None] * B[:, :, t, None]
        y.append((h * C[:, :, t, None]).sum(-1) + D * u[:, :, t])
    return torch.stack(y, 2)


def _associative(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    return _by_recurrence(linear_recurrence, u, delta, A, B, C, D)


def _walk(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    return _by_recurrence(walked_recurrence, u, delta, A, B, C, D)


def _by_recurrence(
    recurrence: Callable[[Tensor, Tensor], Tensor], u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor
) -> Tensor:
    # The states are the last but one dimension, so that the long one, the channels, lies in a row of memory.
    decay = torch.exp(delta[..., None, :] * A.mT[:, None])
    h = recurrence(decay, (delta * u)[..., None, :] * B[..., None])
    y = D[:, None] * u
    for n in range(A.shape[-1]):
        y = torch.addcmul(y, h[..., n, :], C[..., n, None])
    return y


def linear_recurrence(decay: Tensor, source: Tensor) -> Tensor:
    """Return h_t = decay_t h_{t-1} + source_t with h_{-1} = 0, along dimension 2, in ceil(log2 L) levels.

    L may be any length. Two steps of the recurrence are one step with decay a_1 a_0 and source a_1 b_0 + b_1. Pairs of
    places are joined like that, the half as long recurrence gives every second place, and one more step gives the
    places between.
    """
    length = source.shape[2]
    if length == 1:
        return source
    pairs = length // 2
    a_even, a_odd = decay[:, :, 0::2], decay[:, :, 1::2]
    b_even, b_odd = source[:, :, 0::2], source[:, :, 1::2]
    odd = linear_recurrence(a_odd * a_even[:, :, :pairs], torch.addcmul(b_odd, a_odd, b_even[:, :, :pairs]))
    between = torch.addcmul(b_even[:, :, 1:], a_even[:, :, 1:], odd[:, :, : b_even.shape[2] - 1])
    even = torch.cat([b_even[:, :, :1], between], 2)
    joined = torch.stack([even[:, :, :pairs], odd], 3).flatten(2, 3)
    return torch.cat([joined, even[:, :, pairs:]], 2) if length % 2 else joined


def walked_recurrence(decay: Tensor, source: Tensor) -> Tensor:
    """Return what `linear_recurrence` does, computed step by step; it is differentiable once."""
    states: Tensor = _WalkedRecurrence.apply(decay, source)
    return states


class _WalkedRecurrence(torch.autograd.Function):
    """Forward h_t = a_t h_{t-1} + b_t; backward, with g_t what comes in, db_t = g_t + a_{t+1} db_{t+1} and
    da_t = db_t h_{t-1}."""

    @staticmethod
    def forward(ctx: Any, decay: Tensor, source: Tensor) -> Tensor:
        h = source.clone()
        for t in range(1, source.shape[2]):
            h[:, :, t].addcmul_(decay[:, :, t], h[:, :, t - 1])
        ctx.save_for_backward(decay, h)
        return h

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        decay, h = ctx.saved_tensors
        by_source = gradients[0].clone()
        for t in range(by_source.shape[2] - 2, -1, -1):
            by_source[:, :, t].addcmul_(decay[:, :, t + 1], by_source[:, :, t + 1])
        by_decay = torch.zeros_like(decay)
        torch.mul(by_source[:, :, 1:], h[:, :, :-1], out=by_decay[:, :, 1:])
        return by_decay, by_source


def _mamba_ssm(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    batch, directions, length, channels = u.shape
    # The kernel wants (batch, K * c, L), and for B and C (batch, K, N, L): each direction is one of its groups.
    rows = [x.mT.reshape(batch, directions * channels, length).contiguous() for x in (u, delta)]
    columns = [x.mT.contiguous() for x in (B, C)]
    y: Tensor = selective_scan_fn(*rows, A.flatten(0, 1).contiguous(), *columns, D.flatten().contiguous())
    return y.view(batch, directions, channels, length).mT
