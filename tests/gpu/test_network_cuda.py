"""On CUDA: every scan agrees, and the network, the crops and the estimator give what they give on the CPU."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

import hamba_core
from hamba_core.hand import Side
from hamba_core.network import DecoderConfiguration
from hamba_core.network.state_space.blocks import SS2D, fault_of_scan
from hamba_core.network.state_space.convolution import depthwise_3x3_silu, has_fused_convolution
from hamba_core.network.state_space.scan import ScanKernel, SequenceScan, choose_scan, selective_scan
from hamba_core.view import Intrinsics
from stages.packets import Detections, Frame, FrameMeta, HandBox
from stages.reconstruction.hamba import HambaEstimator, NetworkSettings

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

CUDA = torch.device("cuda")


def scan_and_gradients(
    kernel: SequenceScan, length: int, state: int, dtype: torch.dtype, device: str
) -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(length + state)
    shapes = [
        (2, 4, length, 64),
        (2, 4, length, 64),
        (4, 64, state),
        (2, 4, length, state),
        (2, 4, length, state),
        (4, 64),
    ]
    u, delta, A, B, C, D = (torch.randn(shape, generator=random) for shape in shapes)
    values = [u.to(dtype), torch.nn.functional.softplus(delta).to(dtype), -A.exp(), B.to(dtype), C.to(dtype), D]
    inputs = [value.to(device).requires_grad_() for value in values]
    y = selective_scan(*inputs, kernel=kernel)
    torch.autograd.backward((y.float() * torch.linspace(-1, 1, y.numel(), device=device).view_as(y)).sum())
    return [y.detach().cpu(), *(torch.zeros_like(x).cpu() if x.grad is None else x.grad.cpu() for x in inputs)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("state", [1, 4, 16])
@pytest.mark.parametrize("length", [1, 3, 22, 192])
@pytest.mark.parametrize("kernel", ["associative", "mamba-ssm"])
def test_scans_agree_with_the_reference_forward_and_backward(
    kernel: SequenceScan, length: int, state: int, dtype: torch.dtype
) -> None:
    if kernel == "mamba-ssm":
        pytest.importorskip("mamba_ssm")
    expected = scan_and_gradients("reference", length, state, dtype, "cpu")
    found = scan_and_gradients(kernel, length, state, dtype, "cuda")
    for ours, theirs in zip(found, expected, strict=True):
        error = (ours.float() - theirs.float()).abs().max() / theirs.float().abs().max().clamp_min(1e-12)
        assert error < (1e-4 if dtype == torch.float32 else 2e-2)


def test_the_scan_that_comes_with_torch_is_chosen_where_it_is_there() -> None:
    choice = choose_scan(CUDA)
    if find_spec("triton"):
        assert choice == ("triton", "Triton is installed, on CUDA")
    else:
        assert choice.kernel == ("mamba-ssm" if find_spec("mamba_ssm") else "associative")
        assert "not installed" in choice.reason or "neither" in choice.reason


def test_the_fused_convolution_is_the_plain_one() -> None:
    if not has_fused_convolution():
        pytest.skip("causal-conv1d is not installed")
    torch.manual_seed(0)
    convolution = torch.nn.Conv2d(64, 64, 3, padding=1, groups=64, bias=False).to(CUDA)
    x = torch.randn(2, 22, 1, 64, device=CUDA)
    with torch.inference_mode():
        torch.testing.assert_close(
            depthwise_3x3_silu(x, convolution, fused=True), depthwise_3x3_silu(x, convolution), rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("state", [1, 4])
@pytest.mark.parametrize("shape", [(1, 16, 12), (3, 16, 12), (2, 22, 1), (16, 5, 7)], ids=str)
def test_the_triton_kernel_gives_what_the_plain_scans_give(shape: tuple[int, int, int], state: int) -> None:
    pytest.importorskip("triton")
    torch.manual_seed(0)
    block = SS2D(DecoderConfiguration(depths=(1,), width=40, state=state, dt_rank=3)).requires_grad_(False)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    block.to(CUDA)
    x = torch.randn(*shape, 80, device=CUDA)
    torch.testing.assert_close(block.fused_scans(x), block.plain_scans(x, "associative"), rtol=1e-3, atol=1e-3)
    assert fault_of_scan(block, "triton") is None


@pytest.mark.parametrize("scan", ["associative", None])
def test_the_network_gives_what_it_gives_on_the_cpu(tiny_release: Path, scan: ScanKernel | None) -> None:
    crops = torch.randn(3, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    network = hamba_core.load(tiny_release, device="cuda")
    network.use_scan(scan)
    with torch.inference_mode():
        expected = hamba_core.load(tiny_release)(crops)
        found = network(crops.to(CUDA))
    torch.testing.assert_close(found.vertices.cpu(), expected.vertices, rtol=0, atol=1e-4)
    torch.testing.assert_close(found.translation.cpu(), expected.translation, rtol=1e-4, atol=1e-4)


# Not ours: importing the compiler uses what torch itself calls out of date, and it recommends TF32.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method.*", "ignore:.*TensorFloat32.*")
def test_forward_compiles_as_one_graph(tiny_release: Path) -> None:
    network = hamba_core.load(tiny_release, device="cuda")
    crops = torch.randn(2, 3, 256, 256, device=CUDA)
    network.use_scan("associative")
    with torch.inference_mode():
        compiled = torch.compile(network, fullgraph=True)
        torch.testing.assert_close(compiled(crops).vertices, network(crops).vertices, rtol=0, atol=1e-4)


def test_crops_are_those_of_the_cpu() -> None:
    picture = torch.randint(0, 256, (240, 320, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    squares = [hamba_core.Square(100, 80, 120), hamba_core.Square(300, 10, 900)]
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
    expected = hamba_core.cut_crops(picture, squares, ["left", "right"], mean, std)
    found = hamba_core.cut_crops(picture.to(CUDA), squares, ["left", "right"], mean, std)
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-4)


def test_the_estimator_takes_the_gpu_and_agrees_with_the_cpu(tiny_release: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    meta = FrameMeta("hands", 0, 0.0, 1, 320, 240, Intrinsics.estimate(320, 240))
    none_2d, none = np.zeros((21, 2), np.float32), np.zeros((21, 3), np.float32)
    sides: tuple[Side, Side] = ("left", "right")
    boxes = tuple(
        HandBox(side, 0.9, np.array([60, 40, 140, 140], np.float32), none_2d, none, track)
        for track, side in enumerate(sides, 1)
    )
    devices: tuple[Literal["auto", "cpu"], ...] = ("auto", "cpu")
    answers = []
    for device in devices:
        estimator = HambaEstimator(tiny_release, settings=NetworkSettings(device=device, precision="float32"))
        estimator.open()
        answers.append(estimator.reconstruct([Detections(Frame(meta, image), boxes)])[0])
        chosen = {choice.subject: choice.chosen for choice in estimator.choices()}
        estimator.close()
        assert chosen["device"].startswith("cuda" if device == "auto" else "cpu")
    for ours, theirs in zip(*answers, strict=True):
        np.testing.assert_allclose(ours.vertices, theirs.vertices, rtol=1e-3, atol=1e-3)
