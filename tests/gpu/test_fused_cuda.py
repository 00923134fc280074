"""On CUDA: every fused kernel works there, and with all of them the network gives what it gives without."""

from pathlib import Path

import pytest
import torch

import hamba_core
from hamba_core.network import MEASURED, Fusions, Hamba
from hamba_core.view import fault_of_fused_crops
from stages.reconstruction.hamba import Cuda, DeviceEngine, fuse
from tests.stages.reconstruction.hamba.conftest import MakeCrops, make_crops

__all__ = ["make_crops"]

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

CUDA = torch.device("cuda", 0)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=str)
def network(request: pytest.FixtureRequest, tiny_release: Path) -> Hamba:
    pytest.importorskip("triton")
    return hamba_core.load(tiny_release, device=CUDA, dtype=request.param)


def test_every_fused_kernel_works_there(network: Hamba) -> None:
    device = Cuda(CUDA, spin=True)
    choice = network.fuse(seconds=device.seconds)
    assert choice.fusions.without(MEASURED) == Fusions().without(MEASURED), choice.reason
    # What is measured works too, whether or not this GPU gains from it.
    assert "it failed" not in choice.reason
    assert "it is off" not in choice.reason
    assert "could not be measured" not in choice.reason


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_fused_the_network_gives_what_it_gives(network: Hamba, batch: int) -> None:
    crops = torch.randn(batch, 3, 256, 256, device=CUDA)
    network.fuse(Fusions().without(Fusions().names()))
    with torch.inference_mode():
        expected = network(crops)
        network.fuse()
        assert network.fused is not None
        found = network(crops)
    exact = network.backbone.blocks[0].attn.qkv.weight.dtype == torch.float32  # type: ignore[union-attr]
    torch.testing.assert_close(found.vertices, expected.vertices, rtol=0, atol=1e-4 if exact else 2e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_crops_by_fused_kernels_are_those_of_the_products(dtype: torch.dtype) -> None:
    assert fault_of_fused_crops(CUDA, dtype) is None


def test_one_graph_of_everything_gives_what_three_streams_give(network: Hamba, make_crops: MakeCrops) -> None:
    fusion = fuse(network, Cuda(CUDA, spin=True), torch.float32)
    answers = []
    for together in (False, True):
        engine = DeviceEngine(
            network, Cuda(CUDA, spin=True), (1, 2), slots=2, fused_crops=fusion.fusions.crops, together=together
        )
        engine.open()
        answers.append([engine.begin(make_crops(1 + seed % 2, seed=seed))() for seed in range(10)])
        engine.close()
    for streams, graph in zip(*answers, strict=True):
        torch.testing.assert_close(torch.from_numpy(graph), torch.from_numpy(streams), rtol=1e-3, atol=1e-4)
