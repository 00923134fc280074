"""The token sampler around its two layers: features sampled at the joints before, tokens put in place after."""

import torch
import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from torch import Tensor
from torch.nn import functional

from hamba_core.network import launching
from hamba_core.network.configuration import TOKEN_COLUMNS, TOKEN_ROWS
from hamba_core.network.early_start import begin_kernel
from hamba_core.network.token_sampler import places_of_joints

_CHANNELS = 128


def plain_sample(features: Tensor, joints_2d: Tensor) -> Tensor:
    """Sample features (B, 192, C) at joints (B, 21, 2), -0.5..0.5 over the crop: (B * 21, C) in the features' dtype."""
    maps = features.float().mT.reshape(len(features), -1, TOKEN_ROWS, TOKEN_COLUMNS)
    places = places_of_joints(joints_2d)[:, :, None]
    sampled = functional.grid_sample(maps, places, padding_mode="zeros", align_corners=False)
    return sampled[..., 0].mT.flatten(0, 1).to(features.dtype)


def fused_sample(features: Tensor, joints_2d: Tensor, reach: float) -> Tensor:
    """Return what `plain_sample` does, in one kernel; `reach` is the token sampler's."""
    batch, joints, _ = joints_2d.shape
    channels = features.shape[2]
    y = torch.empty(batch * joints, channels, dtype=features.dtype, device=features.device)
    launching.launch(
        _sample, (batch * joints,), features, joints_2d, y, joints, channels, reach,
        ROWS=TOKEN_ROWS, COLUMNS=TOKEN_COLUMNS, CHANNELS=triton.next_power_of_2(channels), num_warps=4,
    )  # fmt: skip
    return y


def plain_tokens(features: Tensor, joint_tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Put tokens in place: features (B, 192, C), joint tokens (B, 21, C) -> tokens (B, 22, C) float32.

    The last token is the features' mean, returned too, (B, C), and so is the joint tokens' mean.
    """
    global_token, joint_tokens = features.float().mean(1), joint_tokens.float()
    return torch.cat([joint_tokens, global_token[:, None]], 1), global_token, joint_tokens.mean(1)


def fused_tokens(features: Tensor, joint_tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what `plain_tokens` does, in one kernel."""
    batch, length, channels = features.shape
    joints = joint_tokens.shape[1]
    tokens = torch.empty(batch, joints + 1, channels, device=features.device)
    global_token, mean = (torch.empty(batch, channels, device=features.device) for _ in range(2))
    launching.launch(
        _tokens, (batch, triton.cdiv(channels, _CHANNELS)),
        features, joint_tokens, tokens, global_token, mean, channels,
        LENGTH=length, PLACES=triton.next_power_of_2(length), JOINTS=joints, TOKENS=triton.next_power_of_2(joints),
        CHANNELS=_CHANNELS, num_warps=8,
    )  # fmt: skip
    return tokens, global_token, mean


@triton.jit  # type: ignore[untyped-decorator]
def _sample(  # type: ignore[no-untyped-def]
    features_at, joints_at, y_at, joints, channels, reach,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, CHANNELS: tl.constexpr, EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    n, c, corner = tl.program_id(0), tl.arange(0, CHANNELS), tl.arange(0, 4)
    known = c < channels
    u, v = 2 * tl.load(joints_at + 2 * n), 2 * tl.load(joints_at + 2 * n + 1)
    u = tl.minimum(tl.maximum(u, -reach), reach) / reach
    # A joint far outside is as well just outside: casting a huge number to an integer would be undefined.
    v = tl.minimum(tl.maximum(v, -4.0), 4.0)
    x, y = ((u + 1) * COLUMNS - 1) / 2, ((v + 1) * ROWS - 1) / 2
    column = tl.floor(x).to(tl.int32) + corner % 2
    row = tl.floor(y).to(tl.int32) + corner // 2
    share = (1.0 - tl.abs(x - column)) * (1.0 - tl.abs(y - row))
    inside = ((row >= 0) & (row < ROWS) & (column >= 0) & (column < COLUMNS))[:, None] & known[None, :]
    at = ((n // joints * ROWS + row) * COLUMNS + column)[:, None] * channels + c[None, :]
    total = tl.sum(share[:, None] * tl.load(features_at + at, inside, 0.0).to(tl.float32), 0)
    tl.store(y_at + n * channels + c, total.to(y_at.dtype.element_ty), known)


@triton.jit  # type: ignore[untyped-decorator]
def _tokens(  # type: ignore[no-untyped-def]
    features_at, joints_at, tokens_at, global_at, mean_at, channels,
    LENGTH: tl.constexpr, PLACES: tl.constexpr, JOINTS: tl.constexpr, TOKENS: tl.constexpr, CHANNELS: tl.constexpr,
    EARLY: tl.constexpr,
):  # fmt: skip
    begin_kernel(EARLY)
    b, t, j = tl.program_id(0), tl.arange(0, PLACES), tl.arange(0, TOKENS)
    c = tl.program_id(1) * CHANNELS + tl.arange(0, CHANNELS)
    known = c < channels
    inside = (t < LENGTH)[:, None] & known[None, :]
    features = tl.load(features_at + (b * LENGTH + t)[:, None] * channels + c[None, :], inside, 0.0).to(tl.float32)
    global_token = tl.sum(features, 0) / LENGTH
    inside = (j < JOINTS)[:, None] & known[None, :]
    joints = tl.load(joints_at + (b * JOINTS + j)[:, None] * channels + c[None, :], inside, 0.0).to(tl.float32)
    tl.store(tokens_at + (b * (JOINTS + 1) + j)[:, None] * channels + c[None, :], joints, inside)
    tl.store(tokens_at + (b * (JOINTS + 1) + JOINTS) * channels + c, global_token, known)
    tl.store(global_at + b * channels + c, global_token, known)
    tl.store(mean_at + b * channels + c, tl.sum(joints, 0) / JOINTS, known)
