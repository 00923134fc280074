"""The backbone: a plain vision transformer, ViT-H/16 in the release, out of timm's blocks."""

from functools import partial

import torch
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from hamba_core.errors import ConfigurationError
from hamba_core.network.configuration import CROP_SIZE, TOKEN_COLUMNS, TOKEN_ROWS, BackboneConfiguration
from hamba_core.network.precision import Conv2d, Linear

_PATCH = 16
_MARGIN = (CROP_SIZE - TOKEN_COLUMNS * _PATCH) // 2
"""Columns at each side of the square crop that the backbone does not see."""


class Backbone(nn.Module):
    """The backbone. It sees columns 32 to 223 of a crop as 16 x 12 patches."""

    positions: Tensor | None  # `summed_positions`, where the network is folded

    def __init__(self, settings: BackboneConfiguration) -> None:
        super().__init__()
        width = settings.width
        self.patch_embed = nn.ModuleDict({"proj": Conv2d(3, width, _PATCH, stride=_PATCH, padding=2)})
        # The first position is a class token's; there is none, and its embedding is added to every patch.
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + TOKEN_ROWS * TOKEN_COLUMNS, width))
        self.register_buffer("positions", None)
        norm = partial(nn.LayerNorm, eps=1e-6)
        self.blocks = nn.Sequential(
            *(
                _Block(width, settings.heads, settings.mlp_width / width, qkv_bias=True, norm_layer=norm)  # type: ignore[arg-type]
                for _ in range(settings.depth)
            )
        )
        for block in self.blocks:
            for owner, name in ((block.attn, "qkv"), (block.attn, "proj"), (block.mlp, "fc1"), (block.mlp, "fc2")):
                layer = getattr(owner, name)
                setattr(owner, name, Linear(layer.in_features, layer.out_features))
        self.last_norm = norm(width)

    def forward(self, crops: Tensor) -> Tensor:
        """Take crops (B, 3, 256, 256) to features (B, width, 16, 12)."""
        if crops.shape[1:] != (3, CROP_SIZE, CROP_SIZE):
            raise ConfigurationError(
                f"crops: expected (B, 3, {CROP_SIZE}, {CROP_SIZE}), found {tuple(crops.shape)}; "
                "hamba_core.view.crop cuts them"
            )
        patches: Tensor = self.patch_embed["proj"](crops[..., _MARGIN : CROP_SIZE - _MARGIN])
        tokens = patches.flatten(2).mT + (self.summed_positions() if self.positions is None else self.positions)
        # The sum keeps the convolution's order of memory, channel by channel, which every norm would have to undo.
        encoded: Tensor = self.last_norm(self.blocks(tokens.contiguous()))
        return encoded.mT.reshape(-1, encoded.shape[2], TOKEN_ROWS, TOKEN_COLUMNS)

    def summed_positions(self) -> Tensor:
        """Return what is added to the patches, (1, 192, width)."""
        return self.pos_embed[:, 1:] + self.pos_embed[:, :1]


class _Block(Block):
    """timm's block, which without gradients adds onto its input: no memory for another stream every time."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Take (B, 192, width) to (B, 192, width)."""
        if torch.is_grad_enabled():
            return super().forward(x, attn_mask, is_causal)
        x += self.attn(self.norm1(x), attn_mask=attn_mask, is_causal=is_causal)
        x += self.mlp(self.norm2(x))
        return x
