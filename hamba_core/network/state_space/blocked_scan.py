"""The scans of SS2D for inference on a processor: all rows of a map scan side by side, then each takes over.

Every row (or column) is scanned from nothing, all of them at once, and the products of its decays are kept: what the
state before a row becomes in it. Then each row takes over where the one before ended. That is 2 x 11 + 15 steps in
place of 191, on long runs of memory, and neither copies nor maps in another order.
"""

import torch
from torch import Tensor


def scan_in_blocks(
    x: Tensor, features: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, D: Tensor, orders: int = 2
) -> Tensor:
    """Return the sum of a map's scans, (b, H, W, c) -> (b, H, W, c), float32. It is not differentiable.

    `features` (b, H, W, K, rank + 2 N) are what each of K directions reads off the map, in the map's own order;
    `dt_weight` is (K, c, rank), `dt_bias` (K, c), `A` (K, c, N), `D` (K, c). Directions k and k + `orders` take
    places in one order, forward and backward; the first order is row by row, the second column by column.
    """
    rank, state = dt_weight.shape[-1], A.shape[-1]
    dt, B, C = torch.split(features, [rank, state, state], -1)
    summed = x * D.sum(0)
    # The same memory for every direction: what was written last is still in the cache.
    raw, delta, decay = (x.new_empty(x.shape) for _ in range(3))
    for k in range(len(A)):
        torch.addmm(dt_bias[k], dt[..., k, :].reshape(-1, rank), dt_weight[k].T, out=raw.view(-1, x.shape[-1]))
        _softplus(raw, out=delta)
        for n in range(state):
            torch.mul(delta, A[k, :, n], out=decay).exp_()
            h = torch.mul(delta, x, out=raw).mul_(B[..., k, n, None])
            _recur(decay, h, by_column=k % orders == 1, backward=k >= orders)
            summed.addcmul_(h, C[..., k, n, None])
    return summed


def _softplus(x: Tensor, out: Tensor) -> None:
    """Give log(1 + exp(x)), out of operations that are fast on a processor; beyond 30 it is x to the last digit."""
    torch.clamp(x, max=30, out=out).exp_().log1p_()
    torch.maximum(out, x, out=out)


def _recur(decay: Tensor, h: Tensor, *, by_column: bool, backward: bool) -> None:
    """Turn sources h (b, H, W, c) into states h_t = decay_t h_{t-1} + source_t, in place; `decay` is used up."""
    along, across = (1, 2) if by_column else (2, 1)
    places, decays = h.unbind(along), decay.unbind(along)
    lines, line_decays = h.unbind(across), decay.unbind(across)
    if backward:
        places, decays, lines, line_decays = places[::-1], decays[::-1], lines[::-1], line_decays[::-1]
    for t in range(1, len(places)):
        places[t].addcmul_(decays[t], places[t - 1])
        decays[t].mul_(decays[t - 1])
    end = slice(0, 1) if backward else slice(-1, None)
    for r in range(1, len(lines)):
        lines[r].addcmul_(line_decays[r], lines[r - 1][:, end])
