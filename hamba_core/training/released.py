"""How wrong the released network's hands are, with the paper's losses and weights."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from hamba_core.network import HambaOutput


class CropTruths(NamedTuple):
    """What is true of B right hands in their crops."""

    global_orient: Tensor  # (B, 3, 3)
    hand_pose: Tensor  # (B, 15, 3, 3)
    betas: Tensor  # (B, 10)
    joints: Tensor  # (B, 21, 3) m, any origin
    joints_2d: Tensor  # (B, 21, 2) in [-0.5, 0.5] over the crop
    visible: Tensor  # (B, 21) 1 where a joint is in the crop, else 0


@dataclass(frozen=True)
class ReleasedLossWeights:
    """The paper's, without the adversarial one."""

    joints: float = 0.05
    joints_2d: float = 0.01
    orient: float = 0.001
    pose: float = 0.001
    betas: float = 0.0005


def released_losses(output: HambaOutput, truth: CropTruths, weights: ReleasedLossWeights) -> dict[str, Tensor]:
    """Each weighted loss of the answer and of the joint regressor's first one, and their sum as "loss".

    L1 on joints, about the wrist in 3D, summed over them; L2 on the model's parameters; means over hands.
    """
    total: dict[str, Tensor] = {}
    answers = [output] if output.initial is None else [output, output.initial]
    for answer in answers:
        for name, loss in _losses(answer, truth, weights).items():
            total[name] = total[name] + loss if name in total else loss
    total["loss"] = torch.stack(list(total.values())).sum()
    return total


def _losses(answer: HambaOutput, truth: CropTruths, weights: ReleasedLossWeights) -> dict[str, Tensor]:
    hands = len(truth.betas)
    joints, true_joints = (points - points[:, :1] for points in (answer.joints, truth.joints))
    apart = (answer.joints_2d - truth.joints_2d).abs() * truth.visible[..., None]
    return {
        "joints": weights.joints * functional.l1_loss(joints, true_joints, reduction="sum") / hands,
        "joints_2d": weights.joints_2d * apart.sum() / hands,
        "orient": weights.orient * (answer.global_orient - truth.global_orient).square().sum() / hands,
        "pose": weights.pose * (answer.hand_pose - truth.hand_pose).square().sum() / hands,
        "betas": weights.betas * (answer.betas - truth.betas).square().sum() / hands,
    }
