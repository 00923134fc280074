"""The depthwise 3x3 convolution with SiLU of a VSS block, on channels-last maps."""

from importlib.util import find_spec

from torch import Tensor, nn
from torch.nn import functional


def has_fused_convolution() -> bool:
    """Return whether causal-conv1d is installed, the kernel that serves maps of one column on CUDA."""
    return find_spec("causal_conv1d") is not None


def depthwise_3x3_silu(x: Tensor, convolution: nn.Conv2d, fused: bool = False) -> Tensor:
    """Compute SiLU of a depthwise 3x3 convolution with padding 1: (B, H, W, C) -> (B, H, W, C).

    On a map of one column all but the kernel's middle column meets padding: that is a convolution of width 3 along
    the rows. `fused` uses causal-conv1d for it, where that is installed (CUDA only).
    """
    if x.shape[2] > 1:
        return functional.silu(convolution(x.permute(0, 3, 1, 2))).permute(0, 2, 3, 1)
    taps, tokens = convolution.weight[:, 0, :, 1], x[:, :, 0]  # (C, 3), (B, H, C)
    if fused and has_fused_convolution():
        return _causal(tokens, taps, convolution.bias)[:, :, None]
    padded = functional.pad(tokens, (0, 0, 1, 1))
    y = padded[:, :-2] * taps[:, 0] + tokens * taps[:, 1] + padded[:, 2:] * taps[:, 2]
    if convolution.bias is not None:
        y = y + convolution.bias
    return functional.silu(y)[:, :, None]


def _causal(tokens: Tensor, taps: Tensor, bias: Tensor | None) -> Tensor:
    from causal_conv1d import causal_conv1d_fn

    # Causal of width 3 sees two places back: one place of padding, and the answer one place later, centre it.
    padded = functional.pad(tokens.mT, (0, 1)).contiguous()
    y: Tensor = causal_conv1d_fn(padded, taps.contiguous(), bias, activation="silu")
    return y[..., 1:].mT
