"""The Hamba network: a crop of a right hand in, its parameters, joints and vertices out.

Dong et al., "Hamba: Single-view 3D Hand Reconstruction with Graph-guided Bi-Scanning Mamba", NeurIPS 2024.
`docs/model.md` walks through it with the shapes along the way.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hamba_core.errors import DependencyError
from hamba_core.hand import HandLayer, HandModel
from hamba_core.network.backbone import Backbone
from hamba_core.network.configuration import HambaConfiguration
from hamba_core.network.heads import GSSHead, HandParameters, JointRegressor, SemanticGraphConvolution
from hamba_core.network.output import HambaOutput, seen_through_crop
from hamba_core.network.precision import Conv1d, Conv2d, Linear
from hamba_core.network.state_space import SS2D, ScanChoice, ScanKernel, choose_scan, fault_of_scan
from hamba_core.network.token_sampler import TokenSampler


class Hamba(nn.Module):
    """The network of the paper's figure 2, part by part."""

    def __init__(self, configuration: HambaConfiguration, hand: HandModel) -> None:
        super().__init__()
        self.configuration, self.hand = configuration, hand
        width = configuration.gss_head.width
        self.backbone = Backbone(configuration.backbone)
        self.downsample = nn.Sequential(
            Conv2d(configuration.backbone.width, width, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            Conv2d(width, width, 1),
        )
        self.joint_regressor = JointRegressor(configuration.joint_regressor)
        self.token_sampler = TokenSampler(width)
        self.gss_head = GSSHead(configuration.gss_head)
        with torch.device("cpu"):  # its numbers are no weights: they are there even where a network is laid out without
            self.hand_layer = HandLayer(hand)
        self.scan = ScanChoice("associative", "not chosen yet")
        self.origin = "not loaded"
        """Where weights and configuration come from."""

    if TYPE_CHECKING:

        def __call__(self, crops: Tensor) -> HambaOutput:
            """Do what `forward` does."""

    def use_scan(self, wanted: ScanKernel | None = None) -> ScanChoice:
        """Run this selective scan from now on; without an argument, the one that suits the device and works there.

        Raises DependencyError.
        """
        blocks = [module for module in self.modules() if isinstance(module, SS2D)]
        self.scan = choose_scan(self.gss_head.readout.init_cam.device, wanted)
        if self.scan.kernel in ("triton", "mamba-ssm") and (fault := fault_of_scan(blocks[0], self.scan.kernel)):
            if wanted is not None:
                raise DependencyError(
                    f"scan {wanted}: expected a kernel that works here, found: {fault}; use reconstruct.scan=auto"
                )
            self.scan = ScanChoice("associative", fault)
        for block in blocks:
            block.scan_kernel = self.scan.kernel
        return self.scan

    def forward(self, crops: Tensor) -> HambaOutput:
        """Reconstruct the right hands in normalised crops (B, 3, 256, 256)."""
        features = self.downsample(self.backbone(crops))  # (B, 512, 16, 12)
        initial = self._hand(self.joint_regressor(features))
        tokens = self.token_sampler(features, initial.joints_2d)
        return self._hand(self.gss_head(tokens, features.mean((2, 3)), initial.joints_2d), initial)

    def _hand(self, parameters: HandParameters, initial: HambaOutput | None = None) -> HambaOutput:
        return seen_through_crop(self.hand_layer, self.configuration.focal_length, parameters, initial)


def reducible_parameters(network: nn.Module) -> frozenset[str]:
    """Return names of the parameters that may be bfloat16: those of the large matrix products."""
    products = (Linear, Conv1d, Conv2d)
    names = {
        f"{name}.{parameter}"
        for name, module in network.named_modules()
        if isinstance(module, products)
        for parameter, _ in module.named_parameters()
    }
    graphs = {f"{name}.W" for name, module in network.named_modules() if isinstance(module, SemanticGraphConvolution)}
    return frozenset(names | graphs)
