"""Every Triton kernel of the network is launched here, so that tests can count what a batch launches."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import local
from typing import Any

import torch
from torch import Tensor

_thread = local()


@contextmanager
def early_starts(wanted: bool) -> Iterator[None]:
    """Launch the kernels of this block, in this thread, before the ones before them have ended; see `early_start`.

    It needs compute capability 9.0.
    """
    before, _thread.early = getattr(_thread, "early", False), wanted
    try:
        yield
    finally:
        _thread.early = before


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Tensor | float, **constants: Any) -> None:
    """Launch a kernel on the device of the first tensor among its arguments.

    Where a kernel is launched is otherwise the thread's affair: its current device, not the tensors'.
    """
    first = next(argument for argument in arguments if isinstance(argument, Tensor))
    early = getattr(_thread, "early", False)
    options = {"launch_pdl": True} if early else {}
    with torch.cuda.device_of(first):  # type: ignore[no-untyped-call]
        # Products and sums in one rounding, which Triton's coming releases do only where they are asked to.
        kernel[grid](*arguments, EARLY=early, enable_fp_fusion=True, **options, **constants)
