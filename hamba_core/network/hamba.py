"""The Hamba network: a crop of a right hand in, its parameters, joints and vertices out.

Dong et al., "Hamba: Single-view 3D Hand Reconstruction with Graph-guided Bi-Scanning Mamba", NeurIPS 2024.
`docs/model.md` walks through it with the shapes along the way.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hamba_core.errors import ConfigurationError, DependencyError
from hamba_core.hand import HandLayer, HandModel
from hamba_core.network.backbone import Backbone
from hamba_core.network.configuration import HambaConfiguration
from hamba_core.network.fast.packing import PackedLinear
from hamba_core.network.fused.fusions import NO_FUSIONS, FusionChoice, Fusions
from hamba_core.network.heads import GSSHead, HandParameters, JointRegressor, SemanticGraphConvolution
from hamba_core.network.output import HambaOutput, seen_through_crop
from hamba_core.network.precision import Conv1d, Conv2d, Linear
from hamba_core.network.state_space import SS2D, ScanChoice, ScanKernel, choose_scan, fault_of_scan
from hamba_core.network.token_sampler import TokenSampler

if TYPE_CHECKING:
    from hamba_core.network.fused.network import FusedNetwork
    from hamba_core.network.fused.trial import Seconds


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
        self.fused: FusedNetwork | None = None
        """The same parts as fused kernels, which `forward` then runs."""
        self.fusion = FusionChoice(NO_FUSIONS, "not chosen yet")
        self.origin = "not loaded"
        """Where weights and configuration come from."""

    if TYPE_CHECKING:

        def __call__(self, crops: Tensor) -> HambaOutput:
            """Do what `forward` does."""

    def use_scan(self, wanted: ScanKernel | None = None, *, inference: bool = False) -> ScanChoice:
        """Run this selective scan from now on; without one, the one that suits the device and works there.

        For `inference` it may be one without gradients, that no compiler takes as one graph.

        Raises DependencyError.
        """
        blocks = [module for module in self.modules() if isinstance(module, SS2D)]
        self.scan = choose_scan(self.gss_head.readout.init_cam.device, wanted, inference=inference)
        if self.scan.kernel in ("triton", "mamba-ssm") and (fault := fault_of_scan(blocks[0], self.scan.kernel)):
            if wanted is not None:
                raise DependencyError(
                    f"scan {wanted}: expected a kernel that works here, found: {fault}; use reconstruct.scan=auto"
                )
            self.scan = ScanChoice("associative", fault)
        for block in blocks:
            block.scan_kernel = self.scan.kernel
        return self.scan

    def fuse(self, wanted: Fusions | None = None, seconds: "Seconds | None" = None) -> FusionChoice:
        """Run these fused kernels from now on, of all if none are named, as far as they work on the network's device.

        They are for inference on CUDA with a folded network and Triton's scan; each is tried out beside its plain
        reference. Elsewhere, or where none is wanted, the plain network goes on. `seconds` measures work on the
        device: some fusions are used only where it shows that they gain something.
        """
        self.fused = None
        wanted = Fusions() if wanted is None else wanted
        device = self.gss_head.readout.init_cam.device
        if device.type != "cuda":
            self.fusion = FusionChoice(NO_FUSIONS, f"device {device}")
        elif self.scan.kernel != "triton":
            self.fusion = FusionChoice(NO_FUSIONS, f"they need Triton's scan, found {self.scan.kernel}")
        elif not wanted.names():
            self.fusion = FusionChoice(wanted, "none is wanted")
        else:
            from hamba_core.network.fused.trial import tried_fusions

            fused = self.fused_parts()
            self.fusion = tried_fusions(fused, wanted, device=device, seconds=seconds)
            if self.fusion.fusions.names():
                fused.fusions, self.fused = self.fusion.fusions, fused
        return self.fusion

    def fused_parts(self, fusions: Fusions = NO_FUSIONS) -> "FusedNetwork":
        """Return the parts as fused kernels that share the weights, on any device. Raises ConfigurationError."""
        if self.is_packed or not self.is_folded:
            raise ConfigurationError(
                "fused kernels: expected a network that is folded and not packed, found another; load it with "
                "folded=True and packed=False"
            )
        from hamba_core.network.fused.network import FusedNetwork

        return FusedNetwork(
            self.backbone, self.downsample, self.joint_regressor, self.token_sampler, self.gss_head, self.hand_layer,
            self.configuration.focal_length, fusions,
        )  # fmt: skip

    @property
    def is_folded(self) -> bool:
        """Whether what depends on weights alone was computed once."""
        return not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in self.modules())

    @property
    def is_packed(self) -> bool:
        """Whether its linear layers are in a processor's own order."""
        return any(isinstance(module, PackedLinear) for module in self.modules())

    def forward(self, crops: Tensor) -> HambaOutput:
        """Reconstruct the right hands in normalised crops (B, 3, 256, 256)."""
        if self.fused is not None:
            return self.fused(crops)
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
