"""Kernels are launched early where that is asked for: in one thread, in one block of code."""

from threading import Thread
from typing import Any

import torch

from hamba_core.network import early_starts, launch


class Kernel:
    """It keeps what it is launched with."""

    def __init__(self) -> None:
        self.launches: list[dict[str, Any]] = []

    def __getitem__(self, grid: tuple[int, ...]) -> "Kernel":
        return self

    def __call__(self, *arguments: Any, **options: Any) -> None:
        self.launches.append(options)


def test_kernels_start_early_inside_a_block_of_their_own_thread() -> None:
    kernel, x = Kernel(), torch.zeros(1)
    launch(kernel, (1,), x)
    with early_starts(True):
        launch(kernel, (1,), x)
        with early_starts(False):
            launch(kernel, (1,), x)
        other = Thread(target=launch, args=(kernel, (1,), x))
        other.start()
        other.join()
    launch(kernel, (1,), x, WIDTH=4)
    plain = {"EARLY": False, "enable_fp_fusion": True}
    early = {"EARLY": True, "enable_fp_fusion": True, "launch_pdl": True}
    assert kernel.launches == [plain, early, plain, plain, {**plain, "WIDTH": 4}]
