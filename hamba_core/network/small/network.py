"""The small Hamba: a first estimate of a hand, corrected by state-space blocks over 21 joint tokens and a global one.

It is the released network's second half with other surroundings. The backbone is a hand-landmark network that is run
elsewhere; tokens are sampled from several of its maps where it found the joints; the first estimate is the analytic fit
to those joints (or the joint regressor's); the camera is the real one, in perspective.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.hand import HandLayer, HandModel
from hamba_core.network.heads import JOINTS, GSSDecoder, rotations_from_6d
from hamba_core.network.small.configuration import SmallConfiguration
from hamba_core.network.small.views import FirstEstimate, HandViews
from hamba_core.network.state_space import SS2D, ScanKernel, VSSDecoder

_ROTATIONS = 16
_BETAS = 10
_GEOMETRY = 3 + 3 + 3 + 2  # of a joint: landmark, world, the first estimate's joint, what they differ by in the view
_FLAT = _ROTATIONS * 6 + _BETAS + JOINTS * _GEOMETRY
_NEAREST = 0.03  # m
_METRES = 10.0  # what a hand's metres are multiplied by to be numbers near 1
_BOUND = 6.0  # standard deviations beyond which an input says no more
_MIDDLE_DISTANCE = 0.45  # m, of the joint regressor's own first estimate


class SmallOutput(NamedTuple):
    """B right hands in their views."""

    rotations: Tensor  # (B, 16, 3, 3)
    betas: Tensor  # (B, 10)
    wrist: Tensor  # (B, 3) m
    joints: Tensor  # (B, 21, 3) m, from the wrist
    vertices: Tensor  # (B, V, 3) m, from the wrist
    joints_2d: Tensor  # (B, 21, 2) half crops


class Standardised(nn.Module):
    """(x - mean) / deviation of each number, as they are in the training data; bounded."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("deviation", torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Take (..., width) to (..., width)."""
        return ((x.float() - self.mean) / self.deviation).clamp(-_BOUND, _BOUND)

    def learn(self, x: Tensor) -> None:
        """Take mean and deviation from examples (N, ..., width)."""
        rows = x.float().flatten(0, -2)
        self.mean.copy_(rows.mean(0))
        self.deviation.copy_(rows.std(0).clamp_min(1e-3))


class HambaSmall(nn.Module):
    """hamba-s without its backbone. `vertices` are those of the hand model that it poses; without them, all."""

    def __init__(self, configuration: SmallConfiguration, hand: HandModel, vertices: list[int] | None = None) -> None:
        super().__init__()
        self.configuration = configuration
        width, backbone = configuration.gss_head.width, configuration.backbone
        channels, pooled = (sum(backbone.maps), backbone.pooled) if configuration.image_features else (0, 0)
        self.hand_layer = HandLayer(hand)
        if vertices is not None:
            self.hand_layer.keep_vertices(vertices)
        self.token_scale, self.pooled_scale = Standardised(channels), Standardised(pooled)
        self.flat_scale = Standardised(_FLAT)
        self.token_filters = nn.Sequential(nn.Linear(channels + _GEOMETRY, width), nn.GELU(), nn.Linear(width, width))
        self.joint_embedding = nn.Parameter(torch.empty(JOINTS, width))
        self.global_filter = nn.Linear(pooled + _FLAT + 1, width)
        self.decoder = GSSDecoder(configuration.gss_head) if configuration.head == "gss" else None
        self.narrow = nn.Linear(width, configuration.token_readout)
        fused = (JOINTS + 1) * configuration.token_readout + 2 * width + pooled + _FLAT + 1
        hidden = configuration.hidden
        self.fusion = nn.Sequential(
            nn.Linear(fused, hidden), nn.GELU(), nn.Dropout(configuration.dropout), nn.Linear(hidden, hidden), nn.GELU()
        )
        self.readout = nn.Linear(hidden, _ROTATIONS * 6 + _BETAS + 3)
        self.regressor = _Regressor(configuration) if configuration.first_estimate == "regressor" else None

    if TYPE_CHECKING:

        def __call__(self, views: HandViews) -> SmallOutput:
            """Do as `forward`."""

    def use_scan(self, kernel: ScanKernel) -> None:
        """Scan this way from now on."""
        for module in self.modules():
            if isinstance(module, SS2D):
                module.scan_kernel = kernel

    def forward(self, views: HandViews) -> SmallOutput:
        """Right hands of any number."""
        rotations, betas, wrist = self.corrected(views)
        vertices, joints, joints_2d = self.posed(FirstEstimate(rotations, betas, wrist), views.focal_length)
        return SmallOutput(rotations, betas, wrist, joints, vertices, joints_2d)

    def corrected(self, views: HandViews) -> FirstEstimate:
        """Return the hands' parameters: what is needed of the network where a hand model in NumPy poses them."""
        if self.regressor is not None:
            views = views._replace(first=self.regressor(views))
        first = views.first
        geometry, flat = self._geometry(views)
        dropout = self.configuration.dropout
        of_joints, of_hand = [geometry], [self.flat_scale(flat), views.focal_length.log()[:, None]]
        if self.configuration.image_features:
            of_joints.append(functional.dropout(self.token_scale(views.tokens), dropout, self.training))
            of_hand.append(functional.dropout(self.pooled_scale(views.pooled), dropout, self.training))
        fused = torch.cat(of_hand, 1)
        tokens = self.token_filters(torch.cat(of_joints, -1)) + self.joint_embedding
        global_token = self.global_filter(fused)
        decoded = torch.cat([tokens, global_token[:, None]], 1)
        if self.decoder is not None:
            decoded = self.decoder(decoded)
        narrow = functional.gelu(self.narrow(decoded)).flatten(1)
        hidden = self.fusion(torch.cat([narrow, decoded.mean(1), global_token, fused], 1))
        change = self.readout(hidden)
        pose, betas, place = change.split([_ROTATIONS * 6, _BETAS, 3], 1)
        rotations = rotations_from_6d((_to_6d(first.rotations) + pose).view(-1, _ROTATIONS, 6))
        # Near or far is a factor, and aside is in half crops: the same in every view.
        depth = first.wrist[:, 2:] * torch.exp(place[:, 2:])
        aside = first.wrist[:, :2] * torch.exp(place[:, 2:]) + place[:, :2] * depth / views.focal_length[:, None]
        return FirstEstimate(rotations, first.betas + betas, torch.cat([aside, depth], 1))

    def learn_scales(self, views: HandViews) -> None:
        """Take means and deviations of what it is given from examples."""
        with torch.no_grad():
            if self.configuration.image_features:
                self.token_scale.learn(views.tokens)
                self.pooled_scale.learn(views.pooled)
            if self.regressor is not None:
                self.regressor.learn_scales(views)
                views = views._replace(first=self.regressor(views))
            self.flat_scale.learn(self._geometry(views)[1])

    def posed(self, hands: FirstEstimate, focal_length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return vertices (B, V, 3) and joints (B, 21, 3), m, from the wrist; the joints (B, 21, 2) in half crops."""
        vertices, joints = self.hand_layer(hands.rotations[:, 0], hands.rotations[:, 1:], hands.betas)
        wrist = joints[:, :1]
        joints, vertices = joints - wrist, vertices - wrist
        points = joints + hands.wrist[:, None]
        joints_2d = points[..., :2] / points[..., 2:].clamp_min(_NEAREST) * focal_length[:, None, None]
        return vertices, joints, joints_2d

    def _geometry(self, views: HandViews) -> tuple[Tensor, Tensor]:
        """Return what is known of each joint's place (B, 21, 11), and of the whole hand in a row (B, n)."""
        first = views.first
        _, joints, joints_2d = self.posed(first, views.focal_length)
        world = views.world - views.world.mean(1, keepdim=True)
        apart = joints_2d - views.landmarks[..., :2]
        geometry = torch.cat([views.landmarks, world * _METRES, joints * _METRES, apart * _METRES], -1)
        flat = torch.cat([_to_6d(first.rotations), first.betas, geometry.flatten(1)], 1)
        return geometry, flat


class _Regressor(nn.Module):
    """A first estimate by state-space blocks over the coarse map, as the released network makes its own."""

    def __init__(self, configuration: SmallConfiguration) -> None:
        super().__init__()
        settings, channels = configuration.joint_regressor, configuration.backbone.maps[-1]
        self.scale = Standardised(channels)
        self.downsample = nn.Linear(channels, settings.width)
        self.decoder = VSSDecoder(settings)
        self.readout = nn.Linear(settings.width, _ROTATIONS * 6 + _BETAS + 3)

    def forward(self, views: HandViews) -> FirstEstimate:
        """Right hands, from the map and the focal length alone."""
        features = self.downsample(self.scale(views.coarse.permute(0, 2, 3, 1)))
        answer = self.readout(self.decoder(features).mean((1, 2)))
        pose, betas, place = answer.split([_ROTATIONS * 6, _BETAS, 3], 1)
        upright = pose.new_tensor([1.0, 0, 0, 0, 1, 0]).repeat(_ROTATIONS)
        # A hand fills its crop, so that its distance goes with the focal length.
        depth = _MIDDLE_DISTANCE / 4 * views.focal_length[:, None] * torch.exp(place[:, 2:])
        aside = place[:, :2] * depth / views.focal_length[:, None]
        rotations = rotations_from_6d((upright + pose).view(-1, _ROTATIONS, 6))
        return FirstEstimate(rotations, betas, torch.cat([aside, depth], 1))

    def learn_scales(self, views: HandViews) -> None:
        self.scale.learn(views.coarse.permute(0, 2, 3, 1))


def _to_6d(rotations: Tensor) -> Tensor:
    """Take (B, 16, 3, 3) to (B, 96): of each its first two columns, one after the other."""
    return rotations[..., :2].mT.flatten(1)
