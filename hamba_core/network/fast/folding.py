"""Folding computes once, for inference, whatever depends on weights alone.

Batch norms go into the convolutions before them or become one multiply-add, the two position embeddings are summed, the
graph's softmax and the scans' -exp(A_logs) are taken. On a GPU each of these is a kernel of its own for every batch.
"""

from typing import cast

import torch
from torch import Tensor, nn

from hamba_core.network.backbone import Backbone
from hamba_core.network.heads import GraphLayer, GSSDecoder
from hamba_core.network.state_space import SS2D

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


class FoldedGraphLayer(nn.Module):
    """Graph convolution, batch norm, ReLU: two products, a multiply-add, ReLU."""

    mixing: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, layer: GraphLayer) -> None:
        super().__init__()
        self.gconv = layer.gconv
        scale, shift = _scale_and_shift(layer.bn)
        numbers = {"mixing": layer.gconv.mixing(), "scale": scale, "shift": shift + layer.gconv.bias * scale}
        for name, value in numbers.items():
            self.register_buffer(name, value.detach(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, 21, C) to (B, 21, C)."""
        itself, offered = self.gconv.products(x)
        mixed = torch.baddbmm(itself, self.mixing.expand(len(x), -1, -1), offered)
        return torch.addcmul(self.shift, mixed, self.scale).relu()


@torch.no_grad()
def fold(network: nn.Module) -> None:
    """Fold a network with its weights, in place. It computes what it did, and cannot be trained or saved any more."""
    for module in network.modules():
        if isinstance(module, Backbone):
            module.register_buffer("positions", module.summed_positions(), persistent=False)
        elif isinstance(module, SS2D):
            module.register_buffer("A", module.decay_rates(), persistent=False)
        elif isinstance(module, GSSDecoder):
            module.gcn_layers = nn.ModuleList(FoldedGraphLayer(cast(GraphLayer, g)) for g in module.gcn_layers)
        elif isinstance(module, nn.Sequential):
            for number, layer in enumerate(module):
                if isinstance(layer, BatchNorm):
                    module[number] = nn.Identity()
                    _scale(cast(nn.Conv2d, module[number - 1]), *_scale_and_shift(layer))


def _scale(convolution: nn.Conv1d | nn.Conv2d, scale: Tensor, shift: Tensor) -> None:
    """Make a convolution give its output channels scaled and shifted."""
    weight, bias = convolution.weight, cast(Tensor, convolution.bias)
    scaled = weight.float() * scale.view(-1, *[1] * (weight.ndim - 1))
    convolution.weight = nn.Parameter(scaled.to(weight.dtype), requires_grad=False)
    convolution.bias = nn.Parameter((bias.float() * scale + shift).to(bias.dtype), requires_grad=False)


def _scale_and_shift(norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Return what a batch norm does to each channel in evaluation."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    scale = norm.weight / torch.sqrt(variance + norm.eps)
    return scale, norm.bias - mean * scale
