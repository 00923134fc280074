"""How wrong hands are, as training sees it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hamba_core.network.small import SmallOutput

_NEAR_2D = 0.1  # half crops: up to here a 2D error counts by its square
_LEAST_WEIGHT = 0.3  # of a hand that cannot be seen at all


class HandTruths(NamedTuple):
    """What is true of B right hands in their views."""

    hands: SmallOutput
    visible: Tensor  # (B,) share of the joints that are seen
    partner: Tensor  # (B,) the row of another look at the same hand, or its own where there is none
    taught: Tensor | None = None  # (B, 21, 3) m, from the wrist: where a teacher says that the joints are


@dataclass(frozen=True)
class LossWeights:
    """What each kind of error counts."""

    joints: float = 20.0
    """Of a metre, L1."""
    vertices: float = 20.0
    """Of a metre, L1."""
    joints_2d: float = 25.0
    """Of a half crop squared, Huber."""
    pose: float = 1.0
    """Of the fingers' rotation matrices, squared."""
    orient: float = 2.0
    """Of the wrist's rotation matrix, squared."""
    betas: float = 0.02
    """Of a beta squared."""
    taught: float = 20.0
    """Of a metre, L1: how far the joints are from a teacher's. Counts where there is a teacher."""
    agreement: float = 0.0
    """Of a metre, L1: how far the joints of two looks at a hand are apart, seen from the true hand. A hand that moves
    is looked at anew in every frame: where looks disagree, it trembles."""

    @staticmethod
    def share(some: Tensor, every: Tensor) -> float:
        """Return what hands count together of a batch; `some` and `every` are their joints' visible shares (B,)."""
        return float(_importance(some).sum() / _importance(every).sum())


def hand_losses(output: SmallOutput, truth: HandTruths, weights: LossWeights) -> dict[str, Tensor]:
    """Return each weighted loss, and their sum as "loss". Hands that are seen well count more than others."""
    importance, true = _importance(truth.visible), truth.hands

    def mean(errors: Tensor) -> Tensor:
        return (errors.flatten(1).mean(1) * importance).sum() / importance.sum()

    difference = output.joints_2d - true.joints_2d
    rotations = (output.rotations - true.rotations) ** 2
    losses = {
        "joints": weights.joints * mean((output.joints - true.joints).abs()),
        "vertices": weights.vertices * mean((output.vertices - true.vertices).abs()),
        "joints_2d": weights.joints_2d
        * mean(functional.huber_loss(difference, torch.zeros_like(difference), reduction="none", delta=_NEAR_2D)),
        "pose": weights.pose * mean(rotations[:, 1:]),
        "orient": weights.orient * mean(rotations[:, :1]),
        "betas": weights.betas * mean((output.betas - true.betas) ** 2),
    }
    if truth.taught is not None:
        losses["taught"] = weights.taught * mean((output.joints - truth.taught).abs())
    if weights.agreement:
        losses["agreement"] = weights.agreement * mean(_disagreement(output, truth))
    losses["loss"] = torch.stack(list(losses.values())).sum()
    return losses


def _disagreement(output: SmallOutput, truth: HandTruths) -> Tensor:
    """Return how far (B, 21, 3), m, joints are from those of the other look, in the true hands' own axes."""
    own = output.joints @ truth.hands.rotations[:, 0]
    return (own - own[truth.partner]).abs()


def _importance(visible: Tensor) -> Tensor:
    return _LEAST_WEIGHT + (1 - _LEAST_WEIGHT) * visible
