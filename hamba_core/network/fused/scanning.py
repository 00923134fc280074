"""The scans of a block with what feeds them, computed in the map's own order."""

from torch import Tensor
from torch.nn import functional

from hamba_core.network.state_space import scan_crosswise, selective_scan


def plain_scans(x: Tensor, features: Tensor, delta: Tensor, bias: Tensor, A: Tensor, D: Tensor) -> Tensor:
    """Return what `scan_crosswise` does: maps (b, H, W, c) are put into four orders, scanned, and put back."""
    batch, height, width, _ = x.shape
    state, directions = A.shape[-1], len(A)
    delta = functional.softplus(delta + bias[:, None, None]).unflatten(2, (height, width))  # (4, b, H, W, c)
    ends = features[..., -2 * state :].unflatten(1, (height, width)).movedim(3, 0)  # (4, b, H, W, 2 N)

    def in_order(maps: Tensor, k: int) -> Tensor:
        ordered = (maps.transpose(1, 2) if k % 2 else maps).flatten(1, 2)
        return ordered.flip(1) if k >= 2 else ordered

    y = x.new_empty(batch, directions, height * width, x.shape[-1], dtype=A.dtype)
    for k in range(directions):
        B, C = in_order(ends[k], k).split(state, -1)
        u, step = in_order(x, k).float(), in_order(delta[k], k)
        scanned = selective_scan(*(given[:, None] for given in (u, step)), A[k : k + 1], B[:, None], C[:, None], D[k : k + 1])[:, 0]
        scanned = scanned.flip(1) if k >= 2 else scanned
        y[:, k] = scanned.unflatten(1, (width, height)).transpose(1, 2).flatten(1, 2) if k % 2 else scanned
    return y


def fused_scans(x: Tensor, features: Tensor, delta: Tensor, bias: Tensor, A: Tensor, D: Tensor) -> Tensor:
    """Return the same in one kernel."""
    return scan_crosswise(x, features, delta, bias, A, D)
