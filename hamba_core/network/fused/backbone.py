"""The backbone in seven kernels a block: norm, product, attention, product onto the stream; norm, product, product."""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.network.backbone import Backbone
from hamba_core.network.fused.fusions import Fusions
from hamba_core.network.fused.norm import PendingNorm
from hamba_core.network.fused.patches import fused_patches, plain_patches
from hamba_core.network.fused.products import add_product, float32_product, gelu_product


class FusedBackbone:
    """It computes what the backbone does, on rows: (B * 192, width). The stream between its blocks is float32."""

    def __init__(self, backbone: Backbone) -> None:
        embedding = cast(nn.Conv2d, backbone.patch_embed["proj"])
        self.embedding = embedding.weight.detach().flatten(1)
        self.dtype: torch.dtype = embedding.weight.dtype
        positions = backbone.summed_positions() if backbone.positions is None else backbone.positions
        self.positions = (positions[0] + cast(Tensor, embedding.bias)).float().detach()  # (192, width)
        pending = torch.zeros_like(self.positions[0])
        self.blocks = []
        for block in cast("list[Any]", backbone.blocks):
            self.blocks.append(_Block(block, pending))
            pending = pending + block.attn.proj.bias.float() + block.mlp.fc2.bias.float()
        self.last_norm = PendingNorm(backbone.last_norm, pending)

    def __call__(self, crops: Tensor, fusions: Fusions) -> Tensor:
        """Take crops (B, 3, 256, 256) to normed features (B * 192, width) in the products' dtype."""
        patches = (fused_patches if fusions.patches else plain_patches)(crops, self.dtype)
        x = float32_product(patches, self.embedding, fused=fusions.projections)
        x.view(len(crops), *self.positions.shape).add_(self.positions)
        for block in self.blocks:
            block(x, len(crops), fusions)
        return self.last_norm(x, self.dtype, fused=fusions.norms)


class _Block:
    def __init__(self, block: Any, pending: Tensor) -> None:
        attention, mlp = block.attn, block.mlp
        self.norm1 = PendingNorm(block.norm1, pending)
        self.norm2 = PendingNorm(block.norm2, pending + attention.proj.bias.float())
        self.heads: int = attention.num_heads
        self.qkv, self.proj, self.fc1, self.fc2 = attention.qkv, attention.proj, mlp.fc1, mlp.fc2

    def __call__(self, x: Tensor, batch: int, fusions: Fusions) -> None:
        """Go on with the stream (B * 192, width), float32, in place."""
        dtype, split = self.qkv.weight.dtype, fusions.split_products
        rows = self.norm1(x, dtype, fused=fusions.norms)
        qkv = functional.linear(rows, self.qkv.weight, self.qkv.bias)
        q, k, v = qkv.view(batch, -1, 3, self.heads, x.shape[1] // self.heads).permute(2, 0, 3, 1, 4).unbind()
        seen = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        add_product(x, seen, self.proj.weight, fused=fusions.residuals, split=split)
        rows = self.norm2(x, dtype, fused=fusions.norms)
        hidden = gelu_product(rows, self.fc1.weight, self.fc1.bias, fused=fusions.gelu)
        add_product(x, hidden, self.fc2.weight, fused=fusions.residuals, split=split)
