"""The whole network out of fused parts. It computes what `Hamba` does, from the same weights."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.hand import HandLayer
from hamba_core.network.backbone import Backbone
from hamba_core.network.configuration import TOKEN_COLUMNS, TOKEN_ROWS
from hamba_core.network.fast.folding import FoldedGraphLayer
from hamba_core.network.fused.backbone import FusedBackbone
from hamba_core.network.fused.decoder import FusedBlock, fused_blocks
from hamba_core.network.fused.fusions import Fusions
from hamba_core.network.fused.graph import fused_gather, fused_mix, plain_gather, plain_mix
from hamba_core.network.fused.hands import PosedHands
from hamba_core.network.fused.norm import PendingNorm
from hamba_core.network.fused.products import relu_product
from hamba_core.network.fused.sampling import fused_sample, fused_tokens, plain_sample, plain_tokens
from hamba_core.network.heads import JOINTS, GSSHead, JointRegressor, Readout
from hamba_core.network.launching import early_starts
from hamba_core.network.output import HambaOutput
from hamba_core.network.state_space import Stage
from hamba_core.network.token_sampler import REACH, TokenSampler

_TOKENS = TOKEN_ROWS * TOKEN_COLUMNS


class FusedRegressor:
    """The joint regressor: features (B, 192, C) to a read-out's numbers."""

    def __init__(self, regressor: JointRegressor) -> None:
        decoder = regressor.decoder
        norm = cast(nn.LayerNorm, decoder.outnorms[-1])
        self.blocks: list[FusedBlock] = []
        pending = torch.zeros_like(norm.weight)
        for stage in decoder.layers:
            blocks, pending = fused_blocks(cast(Stage, stage), pending)
            self.blocks += blocks
        self.norm, self.readout = PendingNorm(norm, pending), OneReadout(regressor.readout)

    def __call__(self, features: Tensor, fusions: Fusions) -> Tensor:
        x = features.flatten(0, 1).to(torch.float32, copy=True)
        for block in self.blocks:
            block(x, (len(features), TOKEN_ROWS, TOKEN_COLUMNS), fusions)
        return self.readout(self.norm(x, torch.float32, fused=fusions.norms).view(features.shape).mean(1))


class FusedHead:
    """The GSS head: tokens (B, 22, C), what they were made of and the first estimate to a read-out's numbers."""

    def __init__(self, head: GSSHead) -> None:
        decoder = head.decoder
        norm = cast(nn.LayerNorm, decoder.outnorms[-1])
        self.stages: list[tuple[_Graph, list[FusedBlock]]] = []
        pending = torch.zeros_like(norm.weight)
        for graph, stage in zip(decoder.gcn_layers, decoder.layers, strict=True):
            layer = _Graph(cast(FoldedGraphLayer, graph), pending)
            blocks, pending = fused_blocks(cast(Stage, stage), torch.zeros_like(pending))
            self.stages.append((layer, blocks))
        self.norm, self.readout = PendingNorm(norm, pending), OneReadout(head.readout)

    def __call__(
        self, tokens: Tensor, global_token: Tensor, mean: Tensor, joints_2d: Tensor, fusions: Fusions
    ) -> Tensor:
        """`tokens` are worked on in place."""
        rows = tokens.view(-1, tokens.shape[2])
        for graph, blocks in self.stages:
            graph(tokens, fusions)
            for block in blocks:
                block(rows, (len(tokens), JOINTS + 1, 1), fusions)
        decoded = self.norm(rows, torch.float32, fused=fusions.norms).view(tokens.shape).mean(1)
        return self.readout(torch.cat([decoded, joints_2d.flatten(1), global_token, mean], 1))


class _Graph:
    def __init__(self, layer: FoldedGraphLayer, pending: Tensor) -> None:
        self.weight = layer.gconv.W.detach().flatten(0, 1)  # (42, C, C)
        self.mixing, self.scale, self.shift = layer.mixing, layer.scale, layer.shift
        self.pending = pending

    def __call__(self, x: Tensor, fusions: Fusions) -> None:
        gathered = (fused_gather if fusions.graph else plain_gather)(x, self.pending, self.weight.dtype)
        mix = fused_mix if fusions.graph else plain_mix
        mix(x, torch.bmm(gathered, self.weight), self.mixing, self.scale, self.shift, self.pending)


class OneReadout:
    """Pose, betas and camera by one matrix: features (B, width) to numbers (B, 96 + 10 + 3), float32."""

    def __init__(self, readout: Readout) -> None:
        layers = (readout.decpose, readout.decshape, readout.deccam)
        means = torch.cat([readout.init_hand_pose, readout.init_betas, readout.init_cam], 1)[0]
        self.weight = torch.cat([layer.weight for layer in layers]).detach()
        self.bias = (torch.cat([layer.bias for layer in layers]) + means).detach()

    def __call__(self, features: Tensor) -> Tensor:
        return functional.linear(features, self.weight, self.bias)


class FusedNetwork:
    """The network's parts, fused: crops (B, 3, 256, 256) in, `HambaOutput` out. It is for inference.

    The network has to be folded, and its scans to go four ways. `fusions` says which kernels run; they can be set at
    any time.
    """

    def __init__(
        self,
        backbone: Backbone,
        downsample: nn.Sequential,
        joint_regressor: JointRegressor,
        token_sampler: TokenSampler,
        gss_head: GSSHead,
        hand_layer: HandLayer,
        focal_length: float,
        fusions: Fusions,
    ) -> None:
        self.fusions = fusions
        self.backbone = FusedBackbone(backbone)
        self.width: int = joint_regressor.readout.decpose.in_features
        self.downsampling, self.filters = downsample, token_sampler.filters
        self.joint_regressor, self.gss_head = FusedRegressor(joint_regressor), FusedHead(gss_head)
        self.first_hand = PosedHands(hand_layer, focal_length, vertices=False)
        self.hand = PosedHands(hand_layer, focal_length, vertices=True)

    def __call__(self, crops: Tensor) -> HambaOutput:
        """Reconstruct the right hands in normalised crops (B, 3, 256, 256)."""
        with early_starts(self.fusions.early_starts):
            return self._hands(crops, self.fusions)

    def _hands(self, crops: Tensor, fusions: Fusions) -> HambaOutput:
        features = self.downsample(self.backbone(crops, fusions))
        initial = self.first_hand(self.joint_regressor(features, fusions), fused=fusions.hands)
        tokens, global_token, mean = self.tokens(features, initial.joints_2d)
        numbers = self.gss_head(tokens, global_token, mean, initial.joints_2d, fusions)
        return self.hand(numbers, fused=fusions.hands, initial=initial)

    def downsample(self, rows: Tensor) -> Tensor:
        """Take the backbone's rows (B * 192, width) to features (B, 192, C) in the products' dtype."""
        return _two_layers(rows, self.downsampling).view(-1, _TOKENS, self.width)

    def tokens(self, features: Tensor, joints_2d: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (B, 22, C), the global one (B, C), and the mean of the joints' (B, C)."""
        if self.fusions.sampling:
            sampled = fused_sample(features, joints_2d, REACH)
        else:
            sampled = plain_sample(features, joints_2d)
        joint_tokens = _two_layers(sampled, self.filters).view(-1, JOINTS, self.width)
        return (fused_tokens if self.fusions.sampling else plain_tokens)(features, joint_tokens)


def _two_layers(rows: Tensor, layers: nn.Sequential) -> Tensor:
    """Apply two 1 x 1 convolutions with a ReLU between them to rows; the batch norm is folded."""
    first, second = (cast(nn.Conv2d, layers[place]) for place in (0, 3))
    bias = cast(Tensor, first.bias)
    hidden = relu_product(rows.to(first.weight.dtype), first.weight.flatten(1), bias)
    return functional.linear(hidden, second.weight.flatten(1), second.bias)
