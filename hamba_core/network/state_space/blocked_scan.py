"""The scans of SS2D for inference on a processor: all rows of a map scan side by side, then each takes over.

Every row (or column) is scanned from nothing, all of them at once, and the products of its decays are kept: what the
state before a row becomes in it. Then each row takes over where the one before ended. That is 2 x 11 + 15 steps in
place of 191, on long runs of memory, and neither copies nor maps in another order. In a column of tokens all orders
are one, and their scans go side by side too.
"""

import torch
from torch import Tensor
from torch.nn import functional

_OVERFLOWING = 80.0  # exp of what is below is a float32


def scan_in_blocks(
    x: Tensor, features: Tensor, dt_weight: Tensor, dt_bias: Tensor, A: Tensor, D: Tensor, orders: int = 2
) -> Tensor:
    """Return the sum of a map's scans, (b, H, W, c) -> (b, H, W, c), float32. It is not differentiable.

    `features` (b, H, W, K, rank + 2 N) are what each of K directions reads off the map, in the map's own order;
    `dt_weight` is (K, c, rank), `dt_bias` (K, c), `A` (K, c, N), `D` (K, c). Directions k and k + `orders` take
    places in one order, forward and backward; the first order is row by row, the second column by column.
    """
    rank, state = dt_weight.shape[-1], A.shape[-1]
    dt, B, C = torch.split(features.movedim(3, 0), [rank, state, state], -1)
    deltas = torch.baddbmm(dt_bias[:, None], dt.reshape(len(A), -1, rank), dt_weight.mT).view(-1, *x.shape)
    _softplus_(deltas)
    summed = x * D.sum(0)
    is_column = x.shape[2] == 1
    side_by_side = orders if is_column else 1
    # The same memory for every direction: what was written last is still in the cache.
    decay, h = (x.new_empty(side_by_side, *x.shape) for _ in range(2))
    for k in range(0, len(A), side_by_side):
        some = slice(k, k + side_by_side)
        for n in range(state):
            torch.mul(deltas[some], A[some, None, None, None, :, n], out=decay).exp_()
            torch.mul(deltas[some], x, out=h).mul_(B[some, ..., n, None])
            by_column = k % orders == 1 and not is_column
            _recur(decay.flatten(0, 1), h.flatten(0, 1), by_column=by_column, backward=k >= orders)
            for states, reading in zip(h, C[some, ..., n, None], strict=True):
                summed.addcmul_(states, reading)
    return summed


def _softplus_(x: Tensor) -> None:
    """Turn x into log(1 + exp(x)), in place, by two operations that are faster than torch's own on a processor.

    Small steps keep their digits: a place may forget quickly, and what it forgets in a step is exp(step * A).
    """
    if x.numel() and x.amax() < _OVERFLOWING:
        x.exp_().log1p_()
    else:
        x.copy_(functional.softplus(x))


def _recur(decay: Tensor, h: Tensor, *, by_column: bool, backward: bool) -> None:
    """Turn sources h (b, H, W, c) into states h_t = decay_t h_{t-1} + source_t, in place; `decay` is used up."""
    along, across = (1, 2) if by_column else (2, 1)
    places, decays = h.unbind(along), decay.unbind(along)
    if backward:
        places, decays = places[::-1], decays[::-1]
    for t in range(1, len(places)):
        places[t].addcmul_(decays[t], places[t - 1])
        decays[t].mul_(decays[t - 1])
    lines, line_decays = h.unbind(across), decay.unbind(across)
    ends = places[-1].unsqueeze(along).unbind(across)  # of the lines
    if backward:
        lines, line_decays, ends = lines[::-1], line_decays[::-1], ends[::-1]
    for line, line_decay, end in zip(lines[1:], line_decays[1:], ends, strict=False):
        line.addcmul_(line_decay, end)
