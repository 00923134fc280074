"""The graph-guided state-space (GSS) head: the hand from 21 joint tokens and a global token."""

import torch
from torch import Tensor, nn

from hamba_core.network.configuration import DecoderConfiguration
from hamba_core.network.heads.graph import JOINTS, GraphLayer
from hamba_core.network.heads.readout import HandParameters, Readout
from hamba_core.network.state_space import VSSDecoder


class GSSDecoder(VSSDecoder):
    """A VSS decoder on a column of 22 tokens: before each stage the joints' tokens go through the hand's graph."""

    def __init__(self, settings: DecoderConfiguration) -> None:
        super().__init__(settings)
        self.gcn_layers = nn.ModuleList(
            GraphLayer(settings.width) if settings.graph else nn.Identity() for _ in settings.depths
        )

    def forward(self, x: Tensor) -> Tensor:
        """Take tokens (B, 22, C), the joints' first and the global one last, to (B, 22, C)."""
        for graph, stage in zip(self.gcn_layers, self.layers, strict=True):
            x = torch.cat([graph(x[:, :JOINTS]), x[:, JOINTS:]], 1)
            x = stage(x[:, :, None])[:, :, 0]
        normed: Tensor = self.outnorms[-1](x)
        return normed


class GSSHead(nn.Module):
    """The network's answer, from the tokens, the features' mean and the first estimate's joints."""

    def __init__(self, settings: DecoderConfiguration) -> None:
        super().__init__()
        self.decoder = GSSDecoder(settings)
        self.readout = Readout(3 * settings.width + 2 * JOINTS)

    def forward(self, joint_tokens: Tensor, global_token: Tensor, joints_2d: Tensor) -> HandParameters:
        """Estimate hands from the joints' tokens (B, 512, 21), a global one (B, 512), and joints (B, 21, 2).

        The joints lie in [-0.5, 0.5] over the crop.
        """
        joint_tokens, global_token = joint_tokens.float(), global_token.float()
        tokens = torch.cat([joint_tokens.mT, global_token[:, None]], 1)
        mean = self.decoder(tokens).mean(1)
        fused = torch.cat([mean, joints_2d.flatten(1), global_token, joint_tokens.mean(2)], 1)
        parameters: HandParameters = self.readout(fused)
        return parameters
