"""A discriminator that learns what hands look like, so that a network is told when its hands do not.

Kanazawa et al., "End-to-end recovery of human shape and pose", CVPR 2018: one judgement of each joint's rotation, one
of all together, one of the shape; least-squares losses (Mao et al., "Least squares generative adversarial networks",
ICCV 2017).
"""

import torch
from torch import Tensor, nn

_JOINTS, _ROTATION, _BETAS = 15, 9, 10
_EMBEDDED, _HIDDEN, _HIDDEN_BETAS = 32, 1024, 5


class HandDiscriminator(nn.Module):
    """Judges the poses and shapes of B hands: (B, 17), near 1 for those of real hands and near 0 for others."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Sequential(
            nn.Linear(_ROTATION, _EMBEDDED), nn.ReLU(), nn.Linear(_EMBEDDED, _EMBEDDED), nn.ReLU()
        )  # fmt: skip
        self.of_joint = nn.Parameter(torch.empty(_JOINTS, _EMBEDDED))
        self.of_joint_bias = nn.Parameter(torch.zeros(_JOINTS))
        self.of_pose = nn.Sequential(
            nn.Linear(_JOINTS * _EMBEDDED, _HIDDEN), nn.ReLU(),
            nn.Linear(_HIDDEN, _HIDDEN), nn.ReLU(),
            nn.Linear(_HIDDEN, 1),
        )  # fmt: skip
        self.of_shape = nn.Sequential(nn.Linear(_BETAS, _HIDDEN_BETAS), nn.ReLU(), nn.Linear(_HIDDEN_BETAS, 1))
        nn.init.normal_(self.of_joint, std=_EMBEDDED**-0.5)

    def forward(self, hand_pose: Tensor, betas: Tensor) -> Tensor:
        """Take rotations (B, 15, 3, 3) and betas (B, 10) to judgements (B, 17)."""
        embedded = self.embedding(hand_pose.flatten(2))
        joints = (embedded * self.of_joint).sum(-1) + self.of_joint_bias
        return torch.cat([joints, self.of_pose(embedded.flatten(1)), self.of_shape(betas)], 1)


def fooling_loss(judged: Tensor) -> Tensor:
    """Return how far judgements (B, 17) of a network's hands are from those of real ones: summed, a mean over hands."""
    return (judged - 1).square().sum(1).mean()


def discriminating_loss(judged_real: Tensor, judged_made: Tensor) -> Tensor:
    """Return how wrong a discriminator is about real hands (R, 17) and a network's (B, 17)."""
    return (judged_real - 1).square().sum(1).mean() + judged_made.square().sum(1).mean()
