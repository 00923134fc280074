"""First weights for networks made of this house's modules, which are laid out without any."""

import math

import torch
from torch import Tensor, nn

from hamba_core.network.heads import Readout, SemanticGraphConvolution
from hamba_core.network.small import HambaSmall
from hamba_core.network.state_space import SS2D

_SHORTEST_STEP, _LONGEST_STEP = 1e-3, 1e-1
_SMALL = 0.002  # deviation of a read-out's weights: training starts at the first estimate
_POSITION = 0.02


@torch.no_grad()
def initialise(network: nn.Module, seed: int = 0) -> None:
    """Give every parameter its first value: the same for the same seed.

    Scans begin as Mamba's (Gu and Dao, 2023): A = -1 .. -N, D = 1, steps spread evenly in the logarithm.
    """
    random = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            _normal(module.weight, module.weight[0].numel() ** -0.5, random)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, SS2D):
            _initialise_scans(module, random)
        elif isinstance(module, SemanticGraphConvolution):
            _normal(module.W, module.W.shape[-1] ** -0.5, random)
            module.e_0.fill_(1)
            module.e_1.fill_(1)
            module.bias.zero_()
        elif isinstance(module, Readout):
            module.init_hand_pose.copy_(torch.tensor([1.0, 0, 0, 0, 1, 0]).repeat(16)[None])
            module.init_betas.zero_()
            module.init_cam.copy_(torch.tensor([[0.9, 0, 0]]))
        for name, parameter in module.named_parameters(recurse=False):
            if name in ("pos_embed", "joint_embedding"):
                _normal(parameter, _POSITION, random)
    for readout in _readouts(network):
        _normal(readout.weight, _SMALL, random)


def _initialise_scans(block: SS2D, random: torch.Generator) -> None:
    directions, inner, rank = block.dt_projs_weight.shape
    _normal(block.x_proj_weight, inner**-0.5, random)
    block.dt_projs_weight.copy_(2 * torch.rand(block.dt_projs_weight.shape, generator=random) - 1).mul_(rank**-0.5)
    spread = torch.rand(directions, inner, generator=random)
    step = torch.exp(math.log(_SHORTEST_STEP) + spread * math.log(_LONGEST_STEP / _SHORTEST_STEP))
    block.dt_projs_bias.copy_(step + torch.log(-torch.expm1(-step)))  # softplus gives the step
    states = torch.arange(1, block.A_logs.shape[1] + 1, dtype=torch.float32)
    block.A_logs.copy_(states.log().expand_as(block.A_logs))
    block.Ds.fill_(1)


def _readouts(network: nn.Module) -> list[nn.Linear]:
    """Return the linear layers that parameters are read with."""
    found: list[nn.Linear] = []
    for module in network.modules():
        if isinstance(module, Readout):
            found += [module.decpose, module.decshape, module.deccam]
        elif isinstance(module, HambaSmall):
            found.append(module.readout)
            if module.regressor is not None:
                found.append(module.regressor.readout)
    return found


def _normal(parameter: Tensor, deviation: float, random: torch.Generator) -> None:
    """Normal numbers, those beyond two deviations at two."""
    parameter.copy_(torch.randn(parameter.shape, generator=random).clamp_(-2, 2).mul_(deviation))
