"""The scans' Triton kernel without a GPU: interpreted, compiled, and not used where it fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import hamba_core
from hamba_core.errors import DependencyError
from hamba_core.network.configuration import DecoderConfiguration
from hamba_core.network.state_space.blocks import SS2D, fault_of_scan
from hamba_core.network.state_space.scan import ScanChoice, choose_scan

pytest.importorskip("triton")

from hamba_core.network.state_space.cross_scan import scan_crosswise
from tests.hamba_core.network.compilation import compiling, spilled_registers

INTERPRETED = """
import torch
from hamba_core.network.configuration import DecoderConfiguration
from hamba_core.network.state_space.blocks import SS2D
sizes = (((16, 12), 1, 16, 2), ((22, 1), 1, 10, 1), ((3, 5), 4, 16, 3))
small_steps = {"dt_projs_bias": -12.0, "A_logs": 12.0}  # in each of which half is forgotten
for ((height, width), state, width_of_map, batch), filled in [(size, {}) for size in sizes] + [(sizes[1], small_steps)]:
    torch.manual_seed(0)
    block = SS2D(DecoderConfiguration(depths=(1,), width=width_of_map, state=state, dt_rank=2))
    for parameter in block.parameters():
        parameter.data = torch.randn(parameter.shape) * 0.5
    for name, value in filled.items():
        block.get_parameter(name).data.fill_(value)
    x = torch.randn(batch, height, width, 2 * width_of_map)
    with torch.inference_mode():
        found, expected = block.fused_scans(x), block.plain_scans(x, "reference")
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=3e-5)
    assert expected.abs().max() > 1
print("equal")
"""


def block() -> SS2D:
    module = SS2D(DecoderConfiguration(depths=(1,), width=16, state=1, dt_rank=1))
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter.data, generator=torch.Generator().manual_seed(0))
    return module.requires_grad_(False)


def test_the_interpreted_kernel_gives_what_the_plain_scans_give() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    run = subprocess.run([sys.executable, "-c", INTERPRETED], capture_output=True, text=True, env=environment)
    assert run.stdout == "equal\n", run.stderr


@pytest.mark.parametrize("state", [1, 4])
@pytest.mark.parametrize("project", [False, True])
def test_the_kernel_compiles_for_gpus_since_ampere_without_spilling_registers(
    state: int, project: bool, tmp_path: Path
) -> None:
    def meta(*shape: int) -> torch.Tensor:
        return torch.empty(*shape, device="meta")

    steps = meta(4, 1024, 32) if project else meta(4, 2, 192, 1024)
    features = meta(2, 192, 4, 32 + 2 * state)
    for capability in (80, 90):
        with compiling(capability) as kernels:
            scan_crosswise(
                meta(2, 16, 12, 1024), features, steps, meta(4, 1024), meta(4, 1024, state), meta(4, 1024),
                project=project,
            )  # fmt: skip
        assert spilled_registers(kernels[0], tmp_path) is None


def test_the_kernel_is_not_used_where_it_fails(tiny_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "the triton kernel failed" in (fault_of_scan(block(), "triton") or "")  # there is no GPU in this test
    network = hamba_core.load(tiny_release)
    monkeypatch.setattr(
        "hamba_core.network.hamba.choose_scan", lambda device, wanted, **_: ScanChoice("triton", "a test")
    )
    choice = network.use_scan()
    assert choice.kernel == "associative"
    assert "the triton kernel failed" in choice.reason
    with pytest.raises(DependencyError, match="the triton kernel failed"):
        network.use_scan("triton")
    network(torch.zeros(1, 3, 256, 256))


def test_a_kernel_that_computes_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = block()
    monkeypatch.setattr(SS2D, "fused_scans", lambda self, x: self.plain_scans(x, "associative") * 1.01)
    assert "off by 1.0e-02" in (fault_of_scan(module, "triton") or "")
    monkeypatch.setattr(SS2D, "fused_scans", lambda self, x: self.plain_scans(x, "reference"))
    assert fault_of_scan(module, "triton") is None


def test_a_kernel_that_fails_on_the_column_of_tokens_alone_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def only_on_maps(self: SS2D, x: torch.Tensor) -> torch.Tensor:
        if x.shape[2] == 1:
            raise RuntimeError("CUDA kernel was not built")
        return self.plain_scans(x, "reference")

    monkeypatch.setattr(SS2D, "fused_scans", only_on_maps)
    assert "was not built" in (fault_of_scan(block(), "triton") or "")


def test_a_package_without_its_kernel_is_not_used(tiny_release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_kernel(*_: object) -> torch.Tensor:
        raise RuntimeError("mamba-ssm was built without CUDA: selective_scan_cuda is None")

    monkeypatch.setattr("hamba_core.network.state_space.scan._mamba_ssm", no_kernel)
    chosen = ScanChoice("mamba-ssm", "a test")
    monkeypatch.setattr("hamba_core.network.hamba.choose_scan", lambda device, wanted, **_: chosen)
    network = hamba_core.load(tiny_release)
    assert network.use_scan().kernel == "associative"
    network(torch.zeros(1, 3, 256, 256))


def test_numbers_that_are_none_are_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SS2D, "fused_scans", lambda self, x: self.plain_scans(x, "reference") * torch.nan)
    assert fault_of_scan(block(), "triton") is not None


def test_triton_is_refused_on_a_cpu() -> None:
    with pytest.raises(DependencyError, match="found device cpu; use the associative scan"):
        choose_scan(torch.device("cpu"), "triton")
