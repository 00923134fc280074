"""Finds the hands of one model that are nearest to the joints of another's: what a hand of another mesh teaches."""

from typing import Final, NamedTuple

import torch
from torch import Tensor

from hamba_core.hand import HandLayer

TURN: Final = 0.02
"""m: what turning a joint by a radian away from its start counts as."""
SHAPE: Final = 0.003
"""m: what a beta of one counts as."""
_STEPS: Final = 150
_RATE: Final = 0.03
_FALLS: Final = {0.0: 1.0, 0.6: 0.3, 0.85: 0.1}  # share of the steps that are done: share of the rate from there on
_SMALL: Final = 1e-5  # rad: a turn of nothing has no direction


class NearestHands(NamedTuple):
    """B right hands."""

    rotations: Tensor  # (B, 16, 3, 3), the wrist's first
    betas: Tensor  # (B, 10)
    joints: Tensor  # (B, 21, 3) m


def nearest_hands(layer: HandLayer, joints: Tensor, rotations: Tensor, betas: Tensor) -> NearestHands:
    """Return the layer's hands nearest to joints (B, 21, 3), m, by summed squares, with their middles on one another.

    They begin with rotations (B, 16, 3, 3), which turning counts against, and betas (B, 10), or (1, 10) where all are
    one person's.
    """
    hands = len(joints)
    turns = torch.full((hands, 16, 3), _SMALL, requires_grad=True)
    shape = betas.clone().requires_grad_()
    optimiser = torch.optim.Adam([turns, shape], lr=_RATE)

    def posed() -> tuple[Tensor, Tensor]:
        turned = rotations @ _rotations(turns)
        _, own = layer(turned[:, 0], turned[:, 1:], shape.expand(hands, -1))
        return turned, own + (joints - own).mean(1, keepdim=True)

    with torch.enable_grad():
        for step in range(_STEPS):
            optimiser.param_groups[0]["lr"] = (
                _RATE * [share for start, share in _FALLS.items() if step >= start * _STEPS][-1]
            )
            _, own = posed()
            apart = (own - joints).square().sum((1, 2))
            strange = TURN**2 * turns.square().sum((1, 2)) + SHAPE**2 * shape.square().sum(1)
            optimiser.zero_grad()
            # In millimetres, so that Adam's smallest number is small beside it; each hand by itself.
            (1e6 * (apart + strange)).sum().backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        turned, own = posed()
    return NearestHands(turned, shape.detach().expand(hands, -1), own)


def _rotations(vectors: Tensor) -> Tensor:
    """Rotation vectors (..., 3), none of them zero -> matrices (..., 3, 3), by Rodrigues' formula."""
    angle = vectors.norm(dim=-1, keepdim=True)
    x, y, z = (vectors / angle).unbind(-1)
    nothing = torch.zeros_like(x)
    rows = [torch.stack(row, -1) for row in ((nothing, -z, y), (z, nothing, -x), (-y, x, nothing))]
    cross = torch.stack(rows, -2)
    matrices: Tensor = torch.eye(3) + angle.sin()[..., None] * cross + (1 - angle.cos())[..., None] * (cross @ cross)
    return matrices
