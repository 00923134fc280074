"""Every Triton kernel of the network is launched here, so that tests can count what a batch launches."""

from typing import Any

import torch
from torch import Tensor


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Tensor | float, **constants: Any) -> None:
    """Launch a kernel on the device of the first tensor among its arguments.

    Where a kernel is launched is otherwise the thread's affair: its current device, not the tensors'.
    """
    first = next(argument for argument in arguments if isinstance(argument, Tensor))
    with torch.cuda.device_of(first):  # type: ignore[no-untyped-call]
        # Products and sums in one rounding, which Triton's coming releases do only where they are asked to.
        kernel[grid](*arguments, enable_fp_fusion=True, **constants)
