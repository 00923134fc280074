"""What an error of torch's says of the device: memory ran out, or the device is lost."""

import re
from typing import Final

import torch

_SHORTAGE: Final = re.compile(r"out of memory|ALLOC_FAILED", re.IGNORECASE)
"""What cuBLAS, cuDNN, Triton and CUDA's pinned memory say of too little memory, without an error type of their own."""

_LOST: Final = frozenset((46, 100, 101, 214, 220, 700, 702, *range(708, 720), 721, 999))
"""CUDA's error codes after which a process cannot use the device any more: illegal addresses, launch failures, memory
errors, a device that is gone. (`cudaError_t` in CUDA's runtime API.)"""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether memory ran out, of the device or to pin; also if that is why a capture failed at its end."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError) or (
            isinstance(error, RuntimeError) and _SHORTAGE.search(str(error))
        ):
            return True
        error = error.__context__
    return False


def means_lost(error: RuntimeError) -> bool | None:
    """Return whether CUDA's error code means that the device is lost; None if the error has no code."""
    code = getattr(error, "error_code", None)
    return code in _LOST if isinstance(error, torch.AcceleratorError) and code is not None else None


def first_of(error: RuntimeError) -> Exception:
    """Return the error that led to this one: a capture that fails raises another when it ends."""
    first: BaseException = error
    while (before := first.__cause__ or first.__context__) is not None:
        first = before
    return first if isinstance(first, Exception) else error
