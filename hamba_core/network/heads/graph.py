"""The semantic graph convolution over the hand's 21 joints.

Zhao et al., "Semantic Graph Convolutional Networks for 3D Human Pose Regression", CVPR 2019, with weights of its own
for each joint.
"""

import torch
from torch import Tensor, nn

from hamba_core.hand import BONES, JOINT_NAMES

JOINTS = len(JOINT_NAMES)
EDGES = tuple(sorted([*BONES, *((child, parent) for parent, child in BONES)]))
"""Every bone in both directions, ordered as a matrix is read: by row, then by column."""


class SemanticGraphConvolution(nn.Module):
    """y_j = x_j W0_j + sum over neighbours i of a_ji x_i W1_i + bias, where a_j is a softmax of learned weights."""

    places: Tensor  # (1, 40): where each edge's weight stands in the flattened (21, 21) matrix

    def __init__(self, width: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(2, JOINTS, width, width))
        # Weights the identity, where a softmax over one number is 1: part of a checkpoint, without effect.
        self.e_0 = nn.Parameter(torch.empty(1, JOINTS))
        self.e_1 = nn.Parameter(torch.empty(1, len(EDGES)))
        self.bias = nn.Parameter(torch.empty(width))
        places = torch.tensor([[row * JOINTS + column for row, column in EDGES]], device="cpu")
        self.register_buffer("places", places, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, 21, C) to (B, 21, C), float32."""
        itself, offered = self.products(x)
        return itself + self.mixing() @ offered + self.bias

    def products(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each joint keeps of its own features and what it offers its neighbours, (B, 21, C), float32."""
        products = torch.matmul(x.transpose(0, 1).to(self.W.dtype), self.W).transpose(1, 2)  # (2, B, 21, C)
        itself, offered = products.float().unbind()
        return itself, offered

    def mixing(self) -> Tensor:
        """Return weights (21, 21): row j holds how much joint j takes of each neighbour."""
        nothing = self.e_1.new_full((1, JOINTS * JOINTS), -torch.inf)
        logits: Tensor = nothing.scatter(1, self.places, self.e_1)
        weights: Tensor = logits.view(JOINTS, JOINTS).softmax(1)
        return weights


class GraphLayer(nn.Module):
    """Graph convolution, batch norm, ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gconv = SemanticGraphConvolution(width)
        self.bn = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, 21, C) to (B, 21, C)."""
        normed: Tensor = self.bn(self.gconv(x).mT)
        return normed.mT.relu()
