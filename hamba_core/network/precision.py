"""What runs in bfloat16, and how.

Half precision is for the large matrix products alone: residual streams, norms, scans, read-outs and the hand model stay
float32, which costs little time and keeps rounding errors from adding up from block to block.
"""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

_FIRST_WITH_BFLOAT16: Final = (8, 0)  # compute capability; earlier GPUs emulate it, slower than float32


class PrecisionChoice(NamedTuple):
    """The dtype of the large matrix products, and why."""

    dtype: torch.dtype
    reason: str


def choose_precision(device: torch.device) -> PrecisionChoice:
    """Choose bfloat16 where the device multiplies it natively, else float32."""
    if device.type == "cuda":
        if torch.cuda.get_device_capability(device) >= _FIRST_WITH_BFLOAT16:
            return PrecisionChoice(torch.bfloat16, "the GPU has bfloat16")
        return PrecisionChoice(torch.float32, "the GPU has no bfloat16")
    if torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported():
        return PrecisionChoice(torch.bfloat16, "the processor has bfloat16")
    return PrecisionChoice(torch.float32, f"the processor ({platform.machine()}) has no bfloat16 that torch uses")


def crop_precision(products: torch.dtype) -> torch.dtype:
    """Return the dtype that crops are cut in on a GPU for a network whose products are in this one.

    It is never bfloat16, which would hold the shares of pixels in a sample eight times as coarsely as float16 does.
    """
    return torch.float32 if products == torch.float32 else torch.float16


@contextmanager
def plain_float32() -> Iterator[None]:
    """Let float32 mean float32 in this block: by default cuDNN's convolutions round to TF32, ten bits of it."""
    cudnn: Any = torch.backends.cudnn  # whose types lack what is set here
    settings = (cudnn.conv, torch.backends.cuda.matmul)
    before = [each.fp32_precision for each in settings]
    for each in settings:
        each.fp32_precision = "ieee"
    try:
        yield
    finally:
        for each, precision in zip(settings, before, strict=True):
            each.fp32_precision = precision


class Linear(nn.Linear):
    """A linear layer that takes any float dtype and gives its weight's."""

    def forward(self, input: Tensor) -> Tensor:
        """Take (..., in) to (..., out)."""
        return functional.linear(input.to(self.weight.dtype), self.weight, self.bias)


class Conv1d(nn.Conv1d):
    """A convolution that takes any float dtype and gives its weight's."""

    def forward(self, input: Tensor) -> Tensor:
        """Take (B, in, L) to (B, out, L')."""
        return super().forward(input.to(self.weight.dtype))


class Conv2d(nn.Conv2d):
    """A convolution that takes any float dtype and gives its weight's."""

    def forward(self, input: Tensor) -> Tensor:
        """Take (B, in, H, W) to (B, out, H', W')."""
        return super().forward(input.to(self.weight.dtype))
