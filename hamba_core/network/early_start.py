"""Kernels that are put onto the GPU before the one before them has ended: programmatic dependent launch.

Between two kernels of a stream a GPU is idle for about a microsecond. Hopper can start the second while the first still
runs; it does its launching then, and waits for the first one's end where it says so itself. Each of our kernels says so
first of all, before it reads or writes anything, so that nothing is computed in another order than without.
"""

import triton  # type: ignore[import-untyped]
import triton.language as tl  # type: ignore[import-untyped]
from triton.language.extra.cuda import gdc_launch_dependents, gdc_wait  # type: ignore[import-untyped]


@triton.jit  # type: ignore[untyped-decorator]
def begin_kernel(EARLY: tl.constexpr):  # type: ignore[no-untyped-def]
    """Wait for the kernel before, where this one was started early; the one after may be started from now on."""
    if EARLY:
        gdc_wait()
        gdc_launch_dependents()
