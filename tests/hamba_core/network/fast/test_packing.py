"""Packed layers give what plain ones give; memory that is freed is kept where that is possible."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import hamba_core
from hamba_core.errors import ConfigurationError
from hamba_core.network.fast.allocator import keep_freed_memory
from hamba_core.network.fast.packing import PackedLinear, can_pack, choose_packing, pack_linear_layers
from hamba_core.network.precision import Linear, choose_precision
from hamba_core.network.state_space.blocks import Mlp

needs_kernels = pytest.mark.skipif(
    not can_pack(torch.float32), reason="this processor or this torch has no kernels to pack for"
)


@needs_kernels
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=str)
def test_a_packed_layer_gives_what_its_layer_gives(
    dtype: torch.dtype, tolerance: float, bias: bool, gelu: bool
) -> None:
    if not can_pack(dtype):
        pytest.skip(f"oneDNN has no kernels of {dtype} for this processor")
    torch.manual_seed(0)
    layer = Linear(48, 32, bias=bias).to(dtype)
    packed = PackedLinear(layer, gelu=gelu)
    with torch.inference_mode():
        for shape in ((1, 6, 48), (3, 2, 5, 48), (0, 6, 48)):
            x = torch.randn(shape)
            expected = nn.functional.gelu(layer(x)) if gelu else layer(x)
            found = packed(x)
            assert found.dtype == dtype
            torch.testing.assert_close(found.float(), expected.float(), rtol=tolerance, atol=tolerance)


@needs_kernels
def test_the_layers_own_weights_are_let_go_at_the_first_call() -> None:
    layer = Linear(16, 16)
    packed = PackedLinear(layer, gelu=False)
    with torch.inference_mode():
        before = packed(torch.ones(1, 1, 16))
        layer.weight.zero_()
        assert packed.plain is None
        torch.testing.assert_close(packed(torch.ones(1, 1, 16)), before)


@needs_kernels
def test_an_mlps_gelu_goes_into_its_first_layer() -> None:
    torch.manual_seed(0)
    mlp = Mlp(16, 64)
    x = torch.randn(2, 3, 16)
    with torch.inference_mode():
        expected = mlp(x)
        pack_linear_layers(mlp)
        assert [type(layer) for layer in mlp.children()] == [PackedLinear, nn.Identity, PackedLinear]
        torch.testing.assert_close(mlp(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor or this torch has no kernels of bfloat16")
@pytest.mark.parametrize(("hidden", "layers"), [(2560, 1), (5120, 2), (5130, 3)])
def test_a_wide_mlp_is_computed_by_parts(hidden: int, layers: int) -> None:
    torch.manual_seed(0)
    owner = nn.Sequential(Mlp(16, hidden)).to(torch.bfloat16).requires_grad_(False)
    x = torch.randn(2, 3, 16).to(torch.bfloat16).float()
    with torch.inference_mode():
        expected = owner.float()(x)
        owner.to(torch.bfloat16)
        pack_linear_layers(owner)
        assert sum(isinstance(layer, PackedLinear) for layer in owner.modules()) == 2 * layers
        for _ in range(2):  # the second time from packed weights
            torch.testing.assert_close(owner(x).float(), expected, rtol=2e-2, atol=1e-2)


def test_where_there_are_no_kernels_packing_is_refused(tiny_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert not can_pack(torch.float32)
    with pytest.raises(ConfigurationError, match="riscv64"):
        hamba_core.load(tiny_release, packed=True)


def test_a_dtype_without_kernels_is_not_packed(tiny_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hamba_core.network.fast.packing.can_pack", lambda dtype: False)
    monkeypatch.setattr("hamba_core.weights.loading.can_pack", lambda dtype: False)
    choice = choose_packing(torch.device("cpu"), torch.bfloat16)
    assert choice == (False, "oneDNN has no kernels of torch.bfloat16 for this processor")
    with pytest.raises(ConfigurationError, match="bfloat16"):
        hamba_core.load(tiny_release, dtype=torch.bfloat16, packed=True)


@pytest.mark.parametrize(("device", "packed"), [("cpu", can_pack(torch.float32)), ("cuda", False)])
def test_weights_are_packed_on_a_cpu_that_has_the_kernels(device: str, packed: bool) -> None:
    assert choose_packing(torch.device(device), torch.float32).packed == packed


@pytest.mark.parametrize("native", [False, True])
def test_the_precision_follows_what_the_processor_has(native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: native)
    choice = choose_precision(torch.device("cpu"))
    assert choice.dtype == (torch.bfloat16 if native else torch.float32)
    assert "bfloat16" in choice.reason


FAULTS = """
import resource, sys
import numpy as np
from hamba_core.network.fast.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def work():
    arrays = [np.ones(3 << 20, np.uint8) for _ in range(20)]
for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not keep_freed_memory(), reason="not glibc")
def test_kept_memory_is_not_mapped_anew() -> None:
    given_back, kept = (
        int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("no", "keep")
    )
    assert kept * 10 < given_back


def test_without_glibc_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert not keep_freed_memory()
