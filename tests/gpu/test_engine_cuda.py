"""On CUDA: batches through streams and graphs give what the network gives, however many are under way."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import hamba_core
from hamba_core.arrays import Float32Array
from hamba_core.network import Hamba
from hamba_core.view import cut_batch
from stages.reconstruction.hamba import Crop, Cuda, DeviceEngine
from stages.reconstruction.hamba.engine.rows import row_width, write_rows
from tests.gpu.conftest import hidden_waits_are_errors
from tests.stages.reconstruction.hamba.conftest import MakeCrops, make_crops

__all__ = ["make_crops"]

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")]

CUDA = torch.device("cuda", 0)
SIZES = (1, 2, 4, 8)


@pytest.fixture(scope="module")
def network(tiny_release: Path) -> Hamba:
    network = hamba_core.load(tiny_release, device=CUDA)
    torch.cuda.synchronize()
    return network


@pytest.fixture
def engine(network: Hamba) -> Iterator[DeviceEngine]:
    engine = DeviceEngine(network, Cuda(CUDA, spin=True), SIZES, slots=2)
    engine.open()
    yield engine
    engine.close()


def eager(network: Hamba, crops: list[Crop]) -> Float32Array:
    """The plain way, hand by hand."""
    rows = []
    mean, std = (torch.tensor(v, device=CUDA) for v in (network.configuration.mean, network.configuration.std))
    with torch.inference_mode():
        for crop in crops:
            picture = torch.tensor(crop.picture, device=CUDA)[None]
            square, mirrored = torch.tensor([crop.square], device=CUDA), torch.tensor([crop.mirrored], device=CUDA)
            which = torch.zeros(1, dtype=torch.long, device=CUDA)
            row = torch.empty(1, row_width(len(network.hand.v_template)), device=CUDA)
            write_rows(network(cut_batch(picture, square, mirrored, which, mean, std)), row)
            rows.append(row.cpu().numpy())
    return np.concatenate(rows)


@pytest.mark.parametrize("count", [1, 2, 3, 8, 11])
def test_graphs_give_what_the_eager_network_gives(
    engine: DeviceEngine, network: Hamba, make_crops: MakeCrops, count: int
) -> None:
    crops = make_crops(count, pictures=min(count, 3))
    expected = eager(network, crops)
    for _ in range(3):  # graphs are captured the first time, and replayed from then on
        np.testing.assert_allclose(engine.begin(crops)(), expected, rtol=1e-3, atol=1e-4)
    assert "none" not in [choice.chosen for choice in engine.choices()]


def test_a_thousand_random_batches_under_way_give_what_they_give_one_after_the_other(
    engine: DeviceEngine, make_crops: MakeCrops
) -> None:
    random = np.random.default_rng(0)
    batches = [make_crops(int(random.integers(1, 9)), seed=seed) for seed in range(1000)]
    expected = [engine.begin(batch)() for batch in batches]
    found, under_way = [], deque[object]()
    for batch in batches:
        under_way.append(engine.begin(batch))
        if len(under_way) == 2:
            found.append(under_way.popleft()())  # type: ignore[operator]
    found += [answer() for answer in under_way]  # type: ignore[operator]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_ten_thousand_batches_take_no_more_memory_than_a_thousand(engine: DeviceEngine, make_crops: MakeCrops) -> None:
    batches = [make_crops(count, seed=count) for count in range(1, 9)]

    def run(count: int) -> tuple[int, int]:
        for number in range(count):
            engine.begin(batches[number % len(batches)])()
        torch.cuda.synchronize()
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
        return torch.cuda.memory_reserved(CUDA), resident

    device_before, host_before = run(1000)
    device_after, host_after = run(9000)
    assert device_after == device_before
    assert host_after < host_before + 2**26


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_nothing_between_picture_and_answer_waits_for_the_device(tiny_release: Path, dtype: torch.dtype) -> None:
    network = hamba_core.load(tiny_release, device=CUDA, dtype=dtype)
    given = (
        torch.randint(0, 256, (2, 120, 160, 3), dtype=torch.uint8, device=CUDA),
        torch.tensor([[80.0, 60, 90], [20, 30, 400]], device=CUDA),
        torch.tensor([True, False], device=CUDA),
        torch.tensor([1, 0], device=CUDA),
        torch.zeros(3, device=CUDA),
        torch.ones(3, device=CUDA),
    )
    rows = torch.empty(2, row_width(len(network.hand.v_template)), device=CUDA)
    with torch.inference_mode():
        write_rows(network(cut_batch(*given)), rows)  # libraries set themselves up, kernels are compiled
        with hidden_waits_are_errors():
            write_rows(network(cut_batch(*given)), rows)
