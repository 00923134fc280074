"""The Hamba network: a crop of a right hand in, its parameters, joints and vertices out.

Dong et al., "Hamba: Single-view 3D Hand Reconstruction with Graph-guided Bi-Scanning Mamba", NeurIPS 2024.
`docs/model.md` walks through it with the shapes along the way.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from hamba_core.errors import DependencyError
from hamba_core.hand import HandLayer, HandModel
from hamba_core.network.backbone import Backbone
from hamba_core.network.configuration import CROP_SIZE, HambaConfiguration
from hamba_core.network.heads import GSSHead, HandParameters, JointRegressor, SemanticGraphConvolution
from hamba_core.network.precision import Conv1d, Conv2d, Linear
from hamba_core.network.state_space import SS2D, ScanChoice, ScanKernel, choose_scan, fault_of_scan
from hamba_core.network.token_sampler import TokenSampler


@dataclass(frozen=True, eq=False)
class HambaOutput:
    """Right hands as the crops show them: a left hand's crop is mirrored, and so is the hand here.

    `hamba_core.view.full_camera` takes it to the real hand in a picture's camera. All tensors are float32.
    """

    camera: Tensor  # (B, 3): s, t_x, t_y of the crop's weak-perspective camera
    translation: Tensor  # (B, 3) m, in the crop's camera, focal length `HambaConfiguration.focal_length`
    global_orient: Tensor  # (B, 3, 3)
    hand_pose: Tensor  # (B, 15, 3, 3), model order
    betas: Tensor  # (B, 10)
    joints: Tensor  # (B, 21, 3) m, joint order, without `translation`
    vertices: Tensor  # (B, V, 3) m, without `translation`
    joints_2d: Tensor  # (B, 21, 2), in [-0.5, 0.5] over the crop
    initial: "HambaOutput | None" = None
    """The joint regressor's own answer, whose `initial` is None."""


torch.export.register_dataclass(HambaOutput)  # so that torch.export knows what forward gives


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
        """Pose the hand model and look at it through the crop's camera."""
        rotations, betas, camera = parameters
        global_orient, hand_pose = rotations[:, 0], rotations[:, 1:]
        vertices, joints = self.hand_layer(global_orient, hand_pose, betas)
        focal_length = self.configuration.focal_length
        depth = 2 * focal_length / (CROP_SIZE * camera[:, :1] + 1e-9)
        translation = torch.cat([camera[:, 1:], depth], 1)
        points = joints + translation[:, None]
        joints_2d = points[..., :2] / points[..., 2:] * (focal_length / CROP_SIZE)
        return HambaOutput(camera, translation, global_orient, hand_pose, betas, joints, vertices, joints_2d, initial)


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
