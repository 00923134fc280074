"""The scans of a block with what feeds them, computed in the map's own order."""

import torch
from torch import Tensor
from torch.nn import functional

from hamba_core.network.state_space import scan_crosswise, selective_scan


def plain_scans(x: Tensor, features: Tensor, delta: Tensor, bias: Tensor, A: Tensor, D: Tensor) -> Tensor:
    """Return what `scan_crosswise` does: maps (b, H, W, c) are put into four orders, scanned, and put back."""
    batch, height, width, _ = x.shape
    state, directions = A.shape[-1], len(A)
    delta = functional.softplus(delta + bias[:, None, None]).view(directions, *x.shape)
    ends = features[..., -2 * state :].reshape(batch, height, width, directions, -1).movedim(3, 0)  # (4, b, H, W, 2 N)

    def in_order(maps: Tensor, k: int) -> Tensor:
        ordered = (maps.transpose(1, 2) if k % 2 else maps).flatten(1, 2)
        return ordered.flip(1) if k >= 2 else ordered

    y = x.new_empty(batch, directions, height * width, x.shape[-1], dtype=A.dtype)
    for k in range(directions):
        B, C = in_order(ends[k], k).tensor_split(2, -1)
        u, step = in_order(x, k).float(), in_order(delta[k], k)
        one = [given[:, None] for given in (u, step, B, C)]
        scanned = selective_scan(one[0], one[1], A[k : k + 1], one[2], one[3], D[k : k + 1])[:, 0]
        scanned = scanned.flip(1) if k >= 2 else scanned
        y[:, k] = scanned.view(batch, width, height, -1).transpose(1, 2).flatten(1, 2) if k % 2 else scanned
    return y


def fused_scans(x: Tensor, features: Tensor, delta: Tensor, bias: Tensor, A: Tensor, D: Tensor) -> Tensor:
    """Return the same in one kernel."""
    return scan_crosswise(x, features, delta, bias, A, D)


def plain_steps(features: Tensor, weight: Tensor) -> Tensor:
    """Take features (b, L, 4, rank + 2 N) to steps (4, b, L, c), softplus and bias still to come; weight (4, c, rank).

    The product for each direction is one of a batch of products.
    """
    first = features[..., : weight.shape[-1]].flatten(0, 1).transpose(0, 1)  # (4, b * L, rank)
    return torch.bmm(first, weight.mT).view(len(weight), *features.shape[:2], -1)


def fused_scans_and_steps(x: Tensor, features: Tensor, weight: Tensor, bias: Tensor, A: Tensor, D: Tensor) -> Tensor:
    """Return the scans with `plain_steps` of these features, in one kernel."""
    return scan_crosswise(x, features, weight, bias, A, D, project=True)
