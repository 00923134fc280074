"""Kernels compiled as a launch compiles them, for a GPU that is not there."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

pytest.importorskip("triton")

from triton.backends.compiler import GPUTarget  # type: ignore[import-untyped]
from triton.backends.nvidia import driver as nvidia  # type: ignore[import-untyped]
from triton.runtime import driver  # type: ignore[import-untyped]

from hamba_core.network import launching


class _Driver:
    """What Triton asks of a driver until a kernel is to be loaded."""

    def __init__(self, capability: int) -> None:
        self.capability = capability

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, 32)

    def get_current_device(self) -> int:
        return 1000 + self.capability  # kernels are kept by device: none that is there gets these

    def get_current_stream(self, device: int) -> int:
        return 0


@contextmanager
def compiling(capability: int, *, early: bool = False) -> Iterator[list[Any]]:
    """Compile what is launched in this block, in place of launching it, and give it as Triton's compiled kernels.

    Which numbers become part of a kernel is decided as at a launch: it depends on their values.
    """
    kernels: list[Any] = []

    def compile_only(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
        assert all(0 < size < 2**31 for size in grid)
        assert all(size < 2**16 for size in grid[1:])  # CUDA's limit
        options = {"launch_pdl": True} if early else {}
        given = {**constants, **options, "EARLY": early, "enable_fp_fusion": True, "grid": grid}
        kernels.append(kernel.warmup(*arguments, **given))

    with (
        patch.object(driver, "_active", _Driver(capability)),
        patch.object(launching, "launch", compile_only),
        patch("hamba_core.view.crop_kernels.launch", compile_only),
    ):
        yield kernels


def spilled_registers(kernel: Any, folder: Path) -> str | None:
    """Return what a compiled kernel uses if some of its registers are kept in memory, else None."""
    tool, binary = Path(nvidia.__file__).parent / "bin" / "cuobjdump", folder / "kernel.cubin"
    binary.write_bytes(kernel.asm["cubin"])
    usage = subprocess.run([tool, "-res-usage", binary], capture_output=True, text=True)
    found = usage.stdout + usage.stderr
    return None if "LOCAL:0" in found else found
