"""The VSS block: a state-space model that scans a map in four directions (SS2D), then an MLP.

Liu et al., "VMamba: Visual State Space Model", 2024. Maps are (B, H, W, C), channels last.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from hamba_core.errors import first_line
from hamba_core.network.configuration import TOKEN_COLUMNS, TOKEN_ROWS, DecoderConfiguration
from hamba_core.network.precision import Conv2d, Linear
from hamba_core.network.state_space.blocked_scan import scan_in_blocks
from hamba_core.network.state_space.convolution import depthwise_3x3_silu
from hamba_core.network.state_space.scan import ScanKernel, SequenceScan, selective_scan

DIRECTIONS = 4
"""0: row by row; 1: column by column; 2 and 3: the reverses of 0 and 1."""

TOKENS = 22
"""Tokens of the GSS head: 21 joints and one for the whole picture."""

_TOLERANCE = 1e-4  # of a kernel's scans, as a share of the largest number


class SS2D(nn.Module):
    """It scans a map in four directions and sums what they give. The scans and what feeds them are float32."""

    scan_kernel: ScanKernel = "associative"
    A: Tensor | None  # `decay_rates`, where the network is folded

    def __init__(self, settings: DecoderConfiguration) -> None:
        super().__init__()
        width, inner, state, rank = settings.width, settings.inner_width, settings.state, settings.dt_rank
        self.splits = [rank, state, state]
        self.orders, self.two_way = settings.orders, settings.two_way
        self.directions = directions = settings.orders * (2 if settings.two_way else 1)
        self.in_proj = Linear(width, inner, bias=False)
        self.conv2d = Conv2d(inner, inner, 3, padding=1, groups=inner, bias=settings.convolution_bias)
        self.x_proj_weight = nn.Parameter(torch.empty(directions, rank + 2 * state, inner))
        self.dt_projs_weight = nn.Parameter(torch.empty(directions, inner, rank))
        self.dt_projs_bias = nn.Parameter(torch.empty(directions, inner))
        self.A_logs = nn.Parameter(torch.empty(directions * inner, state))
        self.Ds = nn.Parameter(torch.empty(directions * inner))
        self.register_buffer("A", None)
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, H, W, C) to (B, H, W, C)."""
        kernel = self.scan_kernel
        x = depthwise_3x3_silu(self.in_proj(x), self.conv2d, fused=kernel == "mamba-ssm").float()
        if kernel == "triton":
            scanned = self.fused_scans(x)
        else:
            scanned = self.blocked_scans(x) if kernel == "blocked" else self.plain_scans(x, kernel)
        projected: Tensor = self.out_proj(self.out_norm(scanned))
        return projected

    def plain_scans(self, x: Tensor, kernel: SequenceScan) -> Tensor:
        """Return the sum of the four scans over a map (B, H, W, inner)."""
        batch, height, width, inner = x.shape
        orders = [x.flatten(1, 2), x.transpose(1, 2).flatten(1, 2)][: self.orders]
        forward = torch.stack(orders, 1)
        u = torch.cat([forward, forward.flip(2)], 1) if self.two_way else forward  # (B, 4, L, inner)
        dt, B, C = torch.split(u @ self.x_proj_weight.mT, self.splits, -1)
        delta = functional.softplus(dt @ self.dt_projs_weight.mT + self.dt_projs_bias[:, None])
        A = self.decay_rates() if self.A is None else self.A
        y = selective_scan(u, delta, A, B, C, self.Ds.view(self.directions, inner), kernel=kernel)
        by_order = y[:, : self.orders] + y[:, self.orders :].flip(2) if self.two_way else y
        by_row = by_order[:, 0].reshape(batch, height, width, inner)
        if self.orders == 1:
            return by_row
        return by_row + by_order[:, 1].reshape(batch, width, height, inner).transpose(1, 2)

    def blocked_scans(self, x: Tensor) -> Tensor:
        """Return the same for inference on a processor. What feeds the scans is computed in the map's own order."""
        features = (x @ self.x_proj_weight.flatten(0, 1).mT).view(*x.shape[:3], self.directions, -1)
        A = self.decay_rates() if self.A is None else self.A
        D = self.Ds.view(self.directions, -1)
        return scan_in_blocks(x, features, self.dt_projs_weight, self.dt_projs_bias, A, D, self.orders)

    def fused_scans(self, x: Tensor) -> Tensor:
        """Return the same on CUDA with one kernel for the scans. What feeds them is computed in the map's own order."""
        from hamba_core.network.state_space.cross_scan import scan_crosswise

        inner, rank = x.shape[-1], self.splits[0]
        features = x.flatten(1, 2) @ self.x_proj_weight.flatten(0, 1).mT
        features = features.view(*features.shape[:2], DIRECTIONS, -1)
        dt = features[..., :rank].flatten(0, 1).transpose(0, 1)  # (4, B * H * W, rank)
        delta = dt @ self.dt_projs_weight.mT
        A = self.decay_rates() if self.A is None else self.A
        y = scan_crosswise(x, features, delta, self.dt_projs_bias, A, self.Ds.view(DIRECTIONS, inner))
        return y.sum(1).view(x.shape)

    def decay_rates(self) -> Tensor:
        """Return A (4, inner, N), negative: the rates at which the states decay."""
        return -torch.exp(self.A_logs).view(self.directions, -1, self.A_logs.shape[1])


@torch.inference_mode()
def fault_of_scan(block: SS2D, kernel: ScanKernel) -> str | None:
    """Return why this kernel cannot be used on the block's device; None where it can.

    It is tried out beside the associative scan, on both shapes of the network: the map and the column of tokens.
    """
    for height, width in ((TOKEN_ROWS, TOKEN_COLUMNS), (TOKENS, 1)):
        x = torch.randn(2, height, width, block.Ds.shape[0] // DIRECTIONS, device=block.Ds.device)
        try:
            found = block.fused_scans(x) if kernel == "triton" else block.plain_scans(x, cast(SequenceScan, kernel))
            expected = block.plain_scans(x, "associative")
            error = float((found - expected).abs().max() / expected.abs().max())
        except Exception as failure:  # noqa: BLE001 - whatever a kernel, its compiler or a missing C compiler raises
            return f"the {kernel} kernel failed: {first_line(failure)}"
        if not error < _TOLERANCE:
            return f"the {kernel} kernel is off by {error:.1e} of the largest number"
    return None


class Mlp(nn.Module):
    """Two layers with a GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """Take (..., C) to (..., C)."""
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
        """Take (B, H, W, C) to (B, H, W, C)."""
        x = x + self.op(self.norm(x))
        return x + cast(Tensor, self.mlp(self.norm2(x)))


class Stage(nn.Module):
    """Some VSS blocks in a row."""

    def __init__(self, settings: DecoderConfiguration, depth: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(VSSBlock(settings) for _ in range(depth)))

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, H, W, C) to (B, H, W, C)."""
        mapped: Tensor = self.blocks(x)
        return mapped

    def vss_blocks(self) -> tuple["VSSBlock", ...]:
        """Return its blocks, in their order."""
        return tuple(block for block in self.blocks if isinstance(block, VSSBlock))


class VSSDecoder(nn.Module):
    """Stages at one resolution. In a checkpoint a norm follows each of them; only the last one is used."""

    def __init__(self, settings: DecoderConfiguration) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Stage(settings, depth) for depth in settings.depths)
        self.outnorms = nn.ModuleList(nn.LayerNorm(settings.width) for _ in settings.depths)

    def forward(self, x: Tensor) -> Tensor:
        """Take (B, H, W, C) to (B, H, W, C)."""
        for stage in self.layers:
            x = stage(x)
        normed: Tensor = self.outnorms[-1](x)
        return normed
