"""Every fused kernel compiles for GPUs since Ampere at the network's sizes, and keeps its numbers in registers."""

import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from hamba_core.hand import HandLayer, load_generic_hand
from hamba_core.network import launching

triton = pytest.importorskip("triton")

from hamba_core.network.fused import (  # noqa: E402
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
from hamba_core.view import crop_kernels  # noqa: E402


class Launch(NamedTuple):
    kernel: Any
    arguments: tuple[Any, ...]
    constants: dict[str, Any]


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What would be launched."""
    seen: list[Launch] = []

    def remember(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
        assert all(0 < size < 2**31 for size in grid)
        assert all(size < 2**16 for size in grid[1:])  # CUDA's limit
        seen.append(Launch(kernel, arguments, constants))

    monkeypatch.setattr(launching, "launch", remember)
    monkeypatch.setattr(crop_kernels, "launch", remember)
    return seen


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


_TYPES = {
    torch.float32: "*fp32",
    torch.bfloat16: "*bf16",
    torch.float16: "*fp16",
    torch.uint8: "*u8",
    torch.int32: "*i32",
}


def compiled(launch: Launch, architecture: int) -> Any:
    from triton.backends.compiler import GPUTarget  # type: ignore[import-untyped]
    from triton.compiler import ASTSource  # type: ignore[import-untyped]

    names = launch.kernel.arg_names
    signature = {
        name: _TYPES[value.dtype] if isinstance(value, Tensor) else "fp32" if isinstance(value, float) else "i32"
        for name, value in zip(names, launch.arguments, strict=False)
    }
    options = {key: value for key, value in launch.constants.items() if key not in names} | {"enable_fp_fusion": True}
    constants = {key: value for key, value in launch.constants.items() if key in names}
    source = ASTSource(launch.kernel, {**signature, **dict.fromkeys(constants, "constexpr")}, constants)
    return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("dtype", "architecture"),
    [
        (torch.bfloat16, 90),
        pytest.param(torch.bfloat16, 80, marks=pytest.mark.slow),
        pytest.param(torch.float32, 80, marks=pytest.mark.slow),
        pytest.param(torch.float32, 90, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_kernels_compile_without_spilling_registers(
    launches: list[Launch], dtype: torch.dtype, architecture: int, tmp_path: Path
) -> None:
    from triton.backends.nvidia import driver  # type: ignore[import-untyped]

    launch_all(dtype)
    assert len({launch.kernel.fn.__name__ for launch in launches}) == 14
    tool, spilled = Path(driver.__file__).parent / "bin" / "cuobjdump", {}
    for launch in launches:
        binary = tmp_path / "kernel.cubin"
        binary.write_bytes(compiled(launch, architecture).asm["cubin"])
        usage = subprocess.run([tool, "-res-usage", binary], capture_output=True, text=True)
        if "LOCAL:0" not in usage.stdout + usage.stderr:
            spilled[launch.kernel.fn.__name__] = usage.stdout + usage.stderr
    assert not spilled
