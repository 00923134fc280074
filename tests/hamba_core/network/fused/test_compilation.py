"""Every fused kernel compiles for GPUs since Ampere at the network's sizes, and keeps its numbers in registers."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hamba_core.hand import HandLayer, load_generic_hand

pytest.importorskip("triton")

from hamba_core.network.fused import (
    convolution,
    graph,
    hands,
    merging,
    norm,
    patches,
    products,
    sampling,
    scanning,
)  # fmt: skip
from hamba_core.view import crop_kernels
from tests.hamba_core.network.compilation import compiling, spilled_registers


def launch_all(dtype: torch.dtype) -> None:
    """Every fused kernel at released size, on tensors without numbers."""

    def meta(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.empty(*shape, dtype=dtype, device="meta")

    layer = nn.LayerNorm(1024, device="meta")
    for width, out in ((1280, dtype), (512, torch.float32)):
        norm.fused_norm(meta(384, width), meta(width), meta(width), meta(width), 1e-6, out)
    merging.fused_merge(meta(2, 4, 192, 1024), layer, dtype)
    for shape in ((2, 16, 12, 1024), (2, 22, 1, 1024)):
        convolution.fused_convolution(meta(*shape, dtype=dtype), meta(9, 1024), None)
        convolution.fused_convolution(meta(*shape, dtype=dtype), meta(9, 1024), meta(1024))
        length = shape[1] * shape[2]
        scanning.fused_scans(
            meta(*shape, dtype=dtype), meta(2, length, 4, 34), meta(4, 2, length, 1024), meta(4, 1024),
            meta(4, 1024, 1), meta(4, 1024),
        )  # fmt: skip
        scanning.fused_scans_and_steps(
            meta(*shape, dtype=dtype), meta(2, length, 4, 34), meta(4, 1024, 32), meta(4, 1024),
            meta(4, 1024, 1), meta(4, 1024),
        )  # fmt: skip
    products.add_product(
        meta(384, 1280), meta(384, 5120, dtype=dtype), meta(1280, 5120, dtype=dtype), fused=True, split=True
    )
    patches.fused_patches(meta(2, 3, 256, 256), dtype)
    graph.fused_gather(meta(2, 22, 512), meta(512), dtype)
    graph.fused_mix(meta(2, 22, 512), meta(42, 2, 512, dtype=dtype), meta(21, 21), meta(512), meta(512), meta(512))
    sampling.fused_sample(meta(2, 192, 512, dtype=dtype), meta(2, 21, 2), 0.875)
    sampling.fused_tokens(meta(2, 192, 512, dtype=dtype), meta(2, 21, 512, dtype=dtype))
    for correctives in (False, True):
        hand = HandLayer(load_generic_hand())
        hand.posedirs = torch.zeros(135, len(hand.template)) if correctives else None
        for vertices in (False, True):
            hands.PosedHands(hand, 5000.0, vertices=vertices)(torch.zeros(2, 109), fused=True)
    crop_kernels.fused_crops(
        meta(1, 480, 640, 3, dtype=torch.uint8), meta(2, 5), meta(3), meta(3), meta(2, 3, 256, 256),
        torch.float16 if dtype == torch.bfloat16 else torch.float32,
    )  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("dtype", "capability"),
    [
        (torch.bfloat16, 90),
        pytest.param(torch.bfloat16, 80, marks=pytest.mark.slow),
        pytest.param(torch.float32, 80, marks=pytest.mark.slow),
        pytest.param(torch.float32, 90, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_kernels_compile_without_spilling_registers(dtype: torch.dtype, capability: int, tmp_path: Path) -> None:
    with compiling(capability) as kernels:
        launch_all(dtype)
    assert len({kernel.metadata.name for kernel in kernels}) == 14
    assert not {kernel.metadata.name: usage for kernel in kernels if (usage := spilled_registers(kernel, tmp_path))}
    assert not any("griddepcontrol" in kernel.asm["ptx"] for kernel in kernels)


_WAIT = "griddepcontrol.wait"
_MEMORY = re.compile(r"\b(ld|st|atom|red|cp\.async)\S*\.global")


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_kernels_that_start_early_wait_before_they_touch_memory() -> None:
    with compiling(90, early=True) as kernels:
        launch_all(torch.bfloat16)
    for kernel in kernels:
        assert kernel.metadata.launch_pdl
        before, after = kernel.asm["ptx"].split(_WAIT, 1)
        assert not _MEMORY.search(before), kernel.metadata.name
        assert _MEMORY.search(after), kernel.metadata.name
        assert "griddepcontrol.launch_dependents" in after


def test_a_norm_that_starts_early_waits_before_it_touches_memory() -> None:
    with compiling(90, early=True) as kernels:
        x, numbers = torch.empty(4, 64, device="meta"), torch.empty(64, device="meta")
        norm.fused_norm(x, numbers, numbers, numbers, 1e-6, torch.bfloat16)
    (kernel,) = kernels
    before, after = kernel.asm["ptx"].split(_WAIT, 1)
    assert not _MEMORY.search(before)
    assert _MEMORY.search(after)
