"""What goes wrong on a device: captures that fail, memory that runs out, a device that is lost."""

import logging
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from hamba_core.errors import DeviceError
from stages.reconstruction.hamba.engine.device import Cpu, Stream
from tests.stages.reconstruction.hamba.conftest import MakeCrops, QuickNetwork
from tests.stages.reconstruction.hamba.engines import assert_same, opened, ready
from tests.stages.reconstruction.hamba.simulated import STREAMS, Simulated, cuda_error


def test_where_nothing_can_be_captured_it_goes_on_without_and_says_so(
    make_crops: MakeCrops, caplog: pytest.LogCaptureFixture
) -> None:
    device = Simulated()
    device.refuses_capture = True
    with caplog.at_level(logging.WARNING):
        engine = opened(device)
        for _ in range(3):
            crops = make_crops(3)
            assert_same(engine.begin(crops)(), crops)
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info
    graphs = next(choice for choice in engine.choices() if choice.subject == "CUDA graphs")
    assert graphs.fallback
    assert "not permitted when stream is capturing" in graphs.reason
    assert "more" not in graphs.reason


def test_out_of_memory_at_the_opening_means_smaller_batches(
    make_crops: MakeCrops, caplog: pytest.LogCaptureFixture
) -> None:
    device = Simulated()
    device.most_rows = 3
    with caplog.at_level(logging.WARNING):
        engine = opened(device)
    assert engine.largest == 2
    assert [record.message for record in caplog.records] == [
        "cpu: CUDA out of memory. Tried to allocate 8 rows; on with batches of 4 hands",
        "cpu: CUDA out of memory. Tried to allocate 4 rows; on with batches of 2 hands",
    ]
    batches = next(choice for choice in engine.choices() if choice.subject == "batches")
    assert batches.fallback
    assert (batches.chosen, batches.reason) == (
        "up to 2 hands, 2 under way at once",
        "the memory of cpu did not suffice for 8",
    )
    crops = make_crops(7, pictures=7)
    device.most_rows = None
    assert_same(engine.begin(crops)(), crops)


@pytest.mark.parametrize("stream", ["upload", "compute", "read-back"])
def test_out_of_memory_on_the_way_loses_nothing(make_crops: MakeCrops, stream: Any) -> None:
    device = Simulated()
    engine = opened(device)
    crops = [make_crops(8, pictures=8, seed=seed) for seed in range(3)]
    answers = [engine.begin(crops[0])]
    device.fail_at[stream] = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    answers += [engine.begin(batch) for batch in crops[1:]]
    assert engine.largest == 4
    for batch, answer in zip(crops, answers, strict=True):
        assert_same(answer(), batch)


def test_a_capture_that_lacks_memory_means_smaller_batches_not_none(make_crops: MakeCrops) -> None:
    device = Simulated()
    device.short_in_capture = 1
    engine = opened(device)
    assert engine.largest == 4
    assert not next(choice for choice in engine.choices() if choice.subject == "CUDA graphs").fallback
    device.short_in_capture = 1  # the next one is of crops, with the first pictures
    for _ in range(5):
        crops = make_crops(4)
        assert_same(engine.begin(crops)(), crops)
    assert engine.largest == 2


def test_memory_that_cannot_be_pinned_is_memory_too(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = opened(device)
    device.fail_at["upload"] = cuda_error("out of memory", 2)
    crops = make_crops(8)
    assert_same(engine.begin(crops)(), crops)
    assert engine.largest == 4


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "Triton Error [CUDA]: out of memory",
    ],
)
def test_what_libraries_call_a_lack_of_memory_is_one(make_crops: MakeCrops, words: str) -> None:
    device = Simulated()
    engine = opened(device)
    device.fail_at["compute"] = RuntimeError(words)
    crops = make_crops(8)
    assert_same(engine.begin(crops)(), crops)
    assert engine.largest == 4


@given(st.lists(st.integers(1, 20), min_size=1, max_size=4), st.lists(st.sampled_from(STREAMS), max_size=3))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_runs_short_of_memory_every_hand_comes_back(
    make_crops: MakeCrops, counts: list[int], shortages: list[Stream]
) -> None:
    device = Simulated()
    engine = opened(device)
    calls = [make_crops(count, pictures=min(count, 6), seed=seed) for seed, count in enumerate(counts)]
    answers = []
    for number, crops in enumerate(calls):
        if number < len(shortages):
            device.fail_at[shortages[number]] = torch.OutOfMemoryError("CUDA out of memory")
        answers.append(engine.begin(crops))
    for crops, answer in zip(calls, answers, strict=True):
        assert_same(answer(), crops)


def test_memory_that_runs_out_in_the_middle_of_a_call_splits_the_rest_of_it(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = opened(device)
    device.fail_at["compute"] = torch.OutOfMemoryError("CUDA out of memory")
    crops = make_crops(20, pictures=3)  # two batches of 8 and one of 4, made before the first of them fails
    assert_same(engine.begin(crops)(), crops)
    assert engine.largest == 4


def test_no_room_for_one_hand_is_a_device_error(make_crops: MakeCrops) -> None:
    device = Simulated()
    device.most_rows = 0
    with pytest.raises(DeviceError, match="expected room for one hand"):
        opened(device)


@pytest.mark.parametrize("moment", ["launch", "wait"])
def test_a_lost_device_is_a_device_error_from_then_on(make_crops: MakeCrops, moment: str) -> None:
    device = Simulated()
    engine = ready(device, make_crops)
    before = engine.begin(make_crops(2))
    if moment == "launch":
        device.fail_at["compute"] = cuda_error("device-side assert triggered\nand advice", 710)
        with pytest.raises(DeviceError, match=r"device-side assert triggered.*cannot use it any more"):
            engine.begin(make_crops(2))
    device.lost = True
    if moment == "wait":
        with pytest.raises(DeviceError, match="unspecified launch failure; this process"):
            before()
    for _ in range(2):
        with pytest.raises(DeviceError):
            engine.begin(make_crops(2))
    with pytest.raises(DeviceError):
        before()
    engine.close()


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mamba-ssm: the CUDA kernel is not there"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        cuda_error("invalid argument", 1),
    ],
    ids=str,
)
def test_an_error_that_only_speaks_of_cuda_loses_no_device(make_crops: MakeCrops, error: RuntimeError) -> None:
    device = Simulated()
    engine = ready(device, make_crops)
    device.fail_at["compute"] = error
    with pytest.raises(RuntimeError) as caught:
        engine.begin(make_crops(2))
    assert caught.value is error
    crops = make_crops(2)
    assert_same(engine.begin(crops)(), crops)


def test_a_library_that_fails_because_the_device_is_gone_is_a_device_error(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = ready(device, make_crops)
    device.fail_at["compute"] = RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasGemmEx")
    device.lost = True
    with pytest.raises(DeviceError, match="CUBLAS_STATUS_EXECUTION_FAILED"):
        engine.begin(make_crops(2))


def test_an_error_that_is_not_the_devices_stays_what_it_is(make_crops: MakeCrops) -> None:
    class Broken(QuickNetwork):
        def __call__(self, crops: torch.Tensor) -> Any:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        opened(Cpu(), slots=1, network=Broken())
