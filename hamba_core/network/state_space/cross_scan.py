"""The four scans of SS2D in one Triton kernel, for inference on a GPU.

The plain way puts the map into four orders, and scans by a tree of tensor operations: dozens of kernels so small that
starting them takes longer than their work. Here a program reads some channels of the whole map in one direction's
order, all places at once, scans in registers, and writes what it found back in place. `SS2D` has the plain way, which
tests hold this one to.
"""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor

from hamba_core.network import launching
from hamba_core.network.early_start import begin_kernel

_CHANNELS = 8
"""Channels that a program takes: 32 bytes in a row, the least that a GPU reads."""

_WARPS = 8


def scan_crosswise(
    x: Tensor, features: Tensor, steps: Tensor, bias: Tensor, A: Tensor, D: Tensor, *, project: bool = False
) -> Tensor:
    """Scan maps x (b, H, W, c) in four directions: (b, 4, H * W, c), each direction's answers at their places.

    All are float32, but for x, which may be in the products' dtype. `features` (b, H * W, 4, rank + 2 N) end with B and
    C for each direction. `steps` (4, b, H * W, c) have softplus and `bias` (4, c) still to come; with `project` they
    are the weights (4, c, rank) that make them of the features' first numbers. `A` is (4, c, N), `D` (4, c). It is not
    differentiable.
    """
    batch, height, width, channels = x.shape
    length, state = height * width, A.shape[-1]
    x, features, steps, A = x.contiguous(), features.contiguous(), steps.contiguous(), A.contiguous()
    y = torch.empty(batch, 4, length, channels, device=x.device)
    launching.launch(
        _scan, (batch, 4, triton.cdiv(channels, _CHANNELS)),
        x, features, steps, bias, A, D, y, batch, height, width, channels, features.shape[-1],
        RANK=steps.shape[-1] if project else 0, STATE=state,
        PLACES=triton.next_power_of_2(length), CHANNELS=_CHANNELS, num_warps=_WARPS,
    )  # fmt: skip
    return y


@triton.jit
def _two_steps(a_0, b_0, a_1, b_1):  # type: ignore[no-untyped-def]
    """Join h -> a_0 h + b_0 and then h -> a_1 h + b_1 into one such step."""
    return a_1 * a_0, a_1 * b_0 + b_1


@triton.jit
def _log_1_plus(x):  # type: ignore[no-untyped-def]
    """Return log(1 + x) with all digits of a small x: what rounding does to 1 + x is taken out by x / (1 + x - 1)."""
    rounded = 1.0 + x
    return tl.where(rounded == 1.0, x, tl.log(rounded) * (x / (rounded - 1.0)))


@triton.jit(do_not_specialize=["batch"])  # type: ignore[untyped-decorator]
def _scan(  # type: ignore[no-untyped-def]
    x_at, features_at, steps_at, bias_at, A_at, D_at, y_at, batch, height, width, channels, numbers,
    RANK: tl.constexpr, STATE: tl.constexpr, PLACES: tl.constexpr, CHANNELS: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    b, k = tl.program_id(0), tl.program_id(1)
    c = tl.program_id(2) * CHANNELS + tl.arange(0, CHANNELS)
    t = tl.arange(0, PLACES)
    length = height * width
    # The place in the map where direction k is at its step t: by row or by column, forward or backward.
    step = tl.where(k < 2, t, length - 1 - t)
    place = tl.where(k % 2 == 0, step, step % height * width + step // height)
    known, is_place = c < channels, t < length
    inside = is_place[:, None] & known[None, :]
    u = tl.load(x_at + (b * length + place)[:, None] * channels + c[None, :], inside, 0.0).to(tl.float32)
    of_place = features_at + ((b * length + place) * 4 + k) * numbers
    raw = tl.zeros((PLACES, CHANNELS), tl.float32) + tl.load(bias_at + k * channels + c, known, 0.0)[None, :]
    if RANK:
        for r in range(RANK):
            weight = tl.load(steps_at + (k * channels + c) * RANK + r, known, 0.0)
            raw += tl.load(of_place + r, is_place, 0.0)[:, None] * weight[None, :]
    else:
        at = steps_at + ((k * batch + b) * length + place)[:, None] * channels + c[None, :]
        raw += tl.load(at, inside, 0.0).to(tl.float32)
    delta = tl.maximum(raw, 0.0) + _log_1_plus(tl.exp(-tl.abs(raw)))  # softplus
    y = tl.load(D_at + k * channels + c, known, 0.0)[None, :] * u
    ends = of_place + numbers
    for n in tl.static_range(STATE):
        A = tl.load(A_at + (k * channels + c) * STATE + n, known, 0.0)
        B = tl.load(ends - 2 * STATE + n, is_place, 0.0)
        C = tl.load(ends - STATE + n, is_place, 0.0)
        decay, source = tl.exp(delta * A[None, :]), delta * u * B[:, None]
        _, h = tl.associative_scan((decay, source), 0, _two_steps)
        y += h * C[:, None]
    tl.store(y_at + ((b * 4 + k) * length + place)[:, None] * channels + c[None, :], y, inside)
