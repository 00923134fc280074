"""The VSS block: a state-space model that scans a map in four directions (SS2D), then an MLP.

Liu et al., "VMamba: Visual State Space Model", 2024. Maps are (B, H, W, C), channels last.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.configuration import DecoderConfiguration
from hamba_core.convolution import depthwise_3x3_silu
from hamba_core.precision import Conv2d, Linear
from hamba_core.scan import ScanKernel, selective_scan

DIRECTIONS = 4
"""0: row by row; 1: column by column; 2 and 3: the reverses of 0 and 1."""


class SS2D(nn.Module):
    """Scan a map in four directions and sum what they give. The scans and what feeds them are float32."""

    scan_kernel: ScanKernel = "associative"
    A: Tensor | None  # `decay_rates`, where the network is folded

    def __init__(self, settings: DecoderConfiguration) -> None:
        super().__init__()
        width, inner, state, rank = settings.width, settings.inner_width, settings.state, settings.dt_rank
        self.splits = [rank, state, state]
        self.in_proj = Linear(width, inner, bias=False)
        self.conv2d = Conv2d(inner, inner, 3, padding=1, groups=inner, bias=settings.convolution_bias)
        self.x_proj_weight = nn.Parameter(torch.empty(DIRECTIONS, rank + 2 * state, inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(DIRECTIONS, inner, rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(DIRECTIONS, inner))
        self.A_logs = nn.Parameter(torch.empty(DIRECTIONS * inner, state))
        self.Ds = nn.Parameter(torch.empty(DIRECTIONS * inner))
        self.register_buffer("A", None)
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = depthwise_3x3_silu(self.in_proj(x), self.conv2d, fused=self.scan_kernel == "mamba-ssm").float()
        batch, height, width, inner = x.shape
        rows_columns = torch.stack([x.flatten(1, 2), x.transpose(1, 2).flatten(1, 2)], 1)
        u = torch.cat([rows_columns, rows_columns.flip(2)], 1)  # (B, 4, L, inner)
        dt, B, C = torch.split(u @ self.x_proj_weight.mT, self.splits, -1)
        delta = functional.softplus(dt @ self.dt_projs_weight.mT + self.dt_projs_bias[:, None])
        A = self.decay_rates() if self.A is None else self.A
        y = selective_scan(u, delta, A, B, C, self.Ds.view(DIRECTIONS, inner), kernel=self.scan_kernel)
        by_row, by_column = (y[:, :2] + y[:, 2:].flip(2)).unbind(1)
        by_row = by_row.reshape(batch, height, width, inner)
        by_column = by_column.reshape(batch, width, height, inner).transpose(1, 2)
        projected: Tensor = self.out_proj(self.out_norm(by_row + by_column))
        return projected

    def decay_rates(self) -> Tensor:
        """A (4, inner, N), negative."""
        return -torch.exp(self.A_logs).view(DIRECTIONS, -1, self.A_logs.shape[1])


class Mlp(nn.Module):
    """Two layers with a GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) -> (..., C)."""
        projected: Tensor = self.fc2(self.act(self.fc1(x)))
        return projected


class VSSBlock(nn.Module):
    """x + SS2D(norm(x)), then x + MLP(norm(x)), on a float32 map (B, H, W, C)."""

    def __init__(self, settings: DecoderConfiguration) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(settings.width)
        self.op = SS2D(settings)
        self.norm2 = nn.LayerNorm(settings.width)
        self.mlp = Mlp(settings.width, settings.mlp_width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        x = x + self.op(self.norm(x))
        return x + cast(Tensor, self.mlp(self.norm2(x)))


class Stage(nn.Module):
    """Some VSS blocks in a row."""

    def __init__(self, settings: DecoderConfiguration, depth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(VSSBlock(settings) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        mapped: Tensor = self.blocks(x)
        return mapped


class VSSDecoder(nn.Module):
    """Stages at one resolution. In a checkpoint a norm follows each of them; only the last one is used."""

    def __init__(self, settings: DecoderConfiguration) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Stage(settings, depth) for depth in settings.depths)
        self.outnorms = nn.ModuleList(nn.LayerNorm(settings.width) for _ in settings.depths)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        for stage in self.layers:
            x = stage(x)
        normed: Tensor = self.outnorms[-1](x)
        return normed
