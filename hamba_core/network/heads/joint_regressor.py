"""The joint regressor: a first estimate of the hand, whose joints say where the token sampler looks."""

from torch import Tensor, nn

from hamba_core.network.configuration import DecoderConfiguration
from hamba_core.network.heads.readout import HandParameters, Readout
from hamba_core.network.state_space import VSSDecoder


class JointRegressor(nn.Module):
    """State-space blocks over the whole feature map, its mean, and a read-out."""

    def __init__(self, settings: DecoderConfiguration) -> None:
        super().__init__()
        self.decoder = VSSDecoder(settings)
        self.readout = Readout(settings.width)

    def forward(self, features: Tensor) -> HandParameters:
        """Estimate hands from features (B, 512, 16, 12)."""
        decoded = self.decoder(features.float().permute(0, 2, 3, 1).contiguous())
        parameters: HandParameters = self.readout(decoded.mean((1, 2)))
        return parameters
