"""Memory that is freed and wanted again all the time."""

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's parameters
_KEPT = 1 << 30  # bytes
_LARGEST_IN_HEAP = 1 << 25  # bytes, the most that glibc allows


def keep_freed_memory() -> bool:
    """Let this process keep up to 1 GiB of freed memory instead of giving it back at once, and return whether it can.

    A forward pass on a CPU frees tensors of some MB that the next layer asks for again. By default glibc gives them
    back to the system in between, and every page has to be cleared and mapped anew: a tenth of the time of one hand.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    return bool(libc.mallopt(_TRIM_THRESHOLD, _KEPT) and libc.mallopt(_MMAP_THRESHOLD, _LARGEST_IN_HEAP))
