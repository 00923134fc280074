"""How wrong the released network's hands are, with the paper's losses and weights."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from hamba_core.network import HambaOutput


class CropTruths(NamedTuple):
    """What is true of B right hands in their crops."""

    global_orient: Tensor  # (B, 3, 3)
    hand_pose: Tensor  # (B, 15, 3, 3)
    betas: Tensor  # (B, 10)
    joints: Tensor  # (B, 21, 3) m, any origin
    joints_2d: Tensor  # (B, 21, 2) in [-0.5, 0.5] over the crop
    visible: Tensor  # (B, 21) 1 where a joint is in the crop and its place there is known, else 0
    joints_known: Tensor  # (B, 21) 1 where a joint's place in 3D, and the wrist's, is known
    parameters_known: Tensor  # (B,) 1 where orientation, pose and betas are known


@dataclass(frozen=True)
class ReleasedLossWeights:
    """The paper's."""

    joints: float = 0.05
    joints_2d: float = 0.01
    orient: float = 0.001
    pose: float = 0.001
    betas: float = 0.0005
    adversarial: float = 0.0005
    """Counts where a discriminator is trained along (`hamba_core.training.adversarial`)."""


def released_losses(output: HambaOutput, truth: CropTruths, weights: ReleasedLossWeights) -> dict[str, Tensor]:
    """Return each weighted loss of the answer and of the joint regressor's first one, and their sum as "loss".

    L1 on joints, about the wrist in 3D, summed over them; L2 on the model's parameters; means over hands. What is not
    known of a hand is no error.
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

    def of_parameters(found: Tensor, true: Tensor) -> Tensor:
        return ((found - true).square().flatten(1).sum(1) * truth.parameters_known).sum() / hands

    return {
        "joints": weights.joints * ((joints - true_joints).abs() * truth.joints_known[..., None]).sum() / hands,
        "joints_2d": weights.joints_2d
        * ((answer.joints_2d - truth.joints_2d).abs() * truth.visible[..., None]).sum()
        / hands,
        "orient": weights.orient * of_parameters(answer.global_orient, truth.global_orient),
        "pose": weights.pose * of_parameters(answer.hand_pose, truth.hand_pose),
        "betas": weights.betas * of_parameters(answer.betas, truth.betas),
    }
