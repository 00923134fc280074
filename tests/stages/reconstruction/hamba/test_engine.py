"""Batches on their way through a device: in which order, how many, in which buffers, and what goes wrong."""

import logging
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st

from hamba_core.arrays import Float32Array
from hamba_core.errors import DeviceError, PipelineError
from stages.reconstruction.hamba.engine.device import Cpu, Stream
from stages.reconstruction.hamba.engine.engine import DeviceEngine
from stages.reconstruction.hamba.engine.replicas import Replicas
from stages.reconstruction.hamba.engine.slots import Crop, in_batches
from tests.stages.reconstruction.hamba.conftest import MakeCrops, QuickNetwork
from tests.stages.reconstruction.hamba.simulated import STREAMS, RaceError, Simulated, cuda_error

SIZES = (1, 2, 4, 8)


def opened(
    device: Any, sizes: Sequence[int] = SIZES, slots: int = 2, network: Any = None, *, together: bool = False
) -> DeviceEngine:
    network = network or QuickNetwork()
    engine = DeviceEngine(network, device, sizes, slots, together=together)
    engine.open()
    if isinstance(device, Simulated):
        device.log.clear()
    return engine


def ready(device: Simulated, make_crops: MakeCrops) -> DeviceEngine:
    """An engine that has captured all that it will capture for pictures as `make_crops` makes them."""
    engine = opened(device)
    for _ in range(engine.in_flight):
        engine.begin(make_crops(8, pictures=8))()
    device.log.clear()
    device.waited_for.clear()
    return engine


def one_by_one(crops: Sequence[Crop]) -> Float32Array:
    """What the processor makes of them, each alone."""
    engine = opened(Cpu(), sizes=(1,), slots=1)
    return engine.begin(crops)()


def assert_same(rows: Float32Array, crops: Sequence[Crop]) -> None:
    np.testing.assert_allclose(rows, one_by_one(crops), rtol=1e-4, atol=1e-4)


def test_a_batch_is_uploaded_computed_and_read_back_in_this_order(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = ready(device, make_crops)
    crops = make_crops(2)
    assert_same(engine.begin(crops)(), crops)
    assert [stream for stream, _ in device.log] == ["upload", "compute", "read-back"]


def test_beginning_waits_for_nothing_and_the_end_for_the_read_back_alone(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = ready(device, make_crops)
    before = engine.in_flight  # read-backs so far
    answers = [engine.begin(make_crops(2, seed=seed)) for seed in range(2)]
    assert device.log == []
    assert device.waited_for == []
    answers[0]()
    assert device.waited_for == [("read-back", before + 1)]
    assert not any(number > before + 1 for stream, number in device.log if stream == "read-back")


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_as_many_batches_as_there_are_slots_are_under_way_and_no_more(make_crops: MakeCrops, slots: int) -> None:
    device = Simulated()
    engine = opened(device, slots=slots)
    assert engine.in_flight == slots
    for _ in range(2 * slots):  # capturing waits for the device
        engine.begin(make_crops(2))()
    crops = [make_crops(2, seed=seed) for seed in range(5)]
    answers, under_way = [], []
    for batch in crops:
        answers.append(engine.begin(batch))
        under_way.append(device.under_way())
    assert under_way == [min(number, slots) for number in range(1, 6)]
    for batch, answer in zip(crops, answers, strict=True):
        assert_same(answer(), batch)
    assert device.under_way() == 0


def test_the_next_batch_is_uploaded_while_the_one_before_is_computed(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = ready(device, make_crops)
    answers = [engine.begin(make_crops(1, seed=seed)) for seed in range(2)]
    device.go_on_with("upload")
    assert [stream for stream, _ in device.log] == ["upload", "upload"]
    device.go_on_with("read-back")
    assert len(device.log) == 2, "nothing is read back that was not computed"
    for answer in answers:
        answer()


def test_an_answer_can_be_asked_for_twice_and_in_any_order(make_crops: MakeCrops) -> None:
    engine = opened(Simulated())
    crops = [make_crops(1, seed=seed) for seed in range(2)]
    first, second = (engine.begin(batch) for batch in crops)
    assert_same(second(), crops[1])
    assert_same(first(), crops[0])
    np.testing.assert_array_equal(first(), first())


@pytest.mark.parametrize(("count", "size"), [(1, 1), (2, 2), (3, 4), (5, 8), (8, 8)])
def test_a_batch_is_filled_up_to_the_next_size(make_crops: MakeCrops, count: int, size: int) -> None:
    network = QuickNetwork()
    engine = opened(Simulated(), network=network)
    network.batches.clear()
    crops = make_crops(count)
    rows = engine.begin(crops)()
    assert network.batches == [size]
    assert len(rows) == count
    assert_same(rows, crops)


def test_on_a_processor_nothing_is_filled_up(make_crops: MakeCrops) -> None:
    network = QuickNetwork()
    engine = opened(Cpu(), sizes=range(1, 9), slots=1, network=network)
    network.batches.clear()
    engine.begin(make_crops(11))()
    assert network.batches == [8, 3]


def test_more_hands_than_the_largest_batch_go_in_several(make_crops: MakeCrops) -> None:
    network = QuickNetwork()
    engine = opened(Simulated(), network=network)
    network.batches.clear()
    crops = make_crops(27, pictures=9)
    assert_same(engine.begin(crops)(), crops)
    assert network.batches == [8, 8, 8, 4]


def test_no_hands_are_no_rows() -> None:
    assert opened(Simulated()).begin([])().shape == (0, 220 + 12)


def test_pictures_of_several_shapes_are_a_batch_each(make_crops: MakeCrops) -> None:
    crops = [*make_crops(2), *make_crops(2, size=(40, 20), seed=1), *make_crops(1, seed=2)]
    assert [len(batch) for batch in in_batches(crops, 8)] == [2, 2, 1]
    assert_same(opened(Simulated()).begin(crops)(), crops)


def test_a_batch_holds_no_more_pictures_than_there_is_room_for(make_crops: MakeCrops) -> None:
    crops = make_crops(6, pictures=3, size=(7000, 6000))
    assert [len(batch) for batch in in_batches(crops, 8)] == [4, 2]


def test_a_picture_is_uploaded_once_for_all_of_its_hands(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = opened(device)
    crops = make_crops(8, pictures=2)
    engine.begin(crops)()
    (slot, _) = engine._slots
    assert len(slot.pictures.host) == 2


def test_the_network_is_captured_for_each_size_and_slot_when_it_is_opened(network: Any) -> None:
    device = Simulated()
    steps: list[str] = []
    engine = DeviceEngine(network, device, SIZES, 2)
    engine.open(steps.append)
    assert device.captures == 2 * len(SIZES) == len(steps)
    assert steps[0] == "capturing the network for 8 hands, 1 of 2"
    graphs = next(choice for choice in engine.choices() if choice.subject == "CUDA graphs")
    assert (graphs.chosen, graphs.fallback) == ("of 1, 2, 4, 8 hands", False)


def test_cutting_is_captured_for_all_sizes_with_the_first_pictures_and_for_shapes_that_come_often(
    make_crops: MakeCrops,
) -> None:
    device = Simulated()
    engine = opened(device, slots=1)
    captures = []
    for size, count in (
        ((24, 32), 2),
        ((24, 32), 1),
        ((24, 32), 8),
        ((40, 20), 2),
        *[((30, 20), 2)] * 10,
        ((30, 20), 5),
    ):
        before = device.captures
        crops = make_crops(count, size=size)
        assert_same(engine.begin(crops)(), crops)
        captures.append(device.captures - before)
    every_size = len(SIZES)
    assert captures == [every_size, 0, 0, 0, *[0] * 8, every_size, 0, 0]


def test_no_later_frame_of_a_camera_waits_for_a_capture(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = opened(device)
    for _ in range(2):  # each slot once
        engine.begin(make_crops(1))()
    before = device.captures
    for number in range(40):
        engine.begin(make_crops(1 + number % 8))()
    assert device.captures == before


def test_a_frame_that_is_waited_for_is_one_graph_on_one_stream(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = opened(device, together=True)
    for _ in range(engine.in_flight):
        engine.begin(make_crops(2))()
    device.log.clear()
    before = device.captures
    for seed, count in enumerate((2, 1, 8)):
        crops = make_crops(count, seed=seed)
        assert_same(engine.begin(crops)(), crops)
    assert [stream for stream, _ in device.log] == ["compute"] * 3
    assert device.captures == before


def test_frames_of_several_cameras_at_once_go_by_streams(make_crops: MakeCrops) -> None:
    device = Simulated()
    engine = opened(device, slots=1, together=True)
    engine.begin(make_crops(2, pictures=2))()
    device.log.clear()
    for pictures, streams in ((2, ["compute"]), (1, ["upload", "compute", "read-back"])):
        crops = make_crops(2, pictures=pictures, seed=pictures)
        assert_same(engine.begin(crops)(), crops)
        assert [stream for stream, _ in device.log] == streams
        device.log.clear()


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


def test_it_has_to_be_open(make_crops: MakeCrops) -> None:
    engine = opened(Simulated())
    engine.begin(make_crops(1))
    engine.close()
    with pytest.raises(PipelineError, match="expected open to be called first"):
        engine.begin(make_crops(1))


# The streams of a device do as they like: whatever the order, answers are those of one hand after the other, and no
# buffer is used by two pieces of work at once.

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(1, 11), st.sampled_from([(24, 32), (24, 32), (20, 20)])),
        st.tuples(st.just("finish"), st.just(0), st.just((0, 0))),
        st.tuples(st.just("go on"), st.integers(1, 4), st.just((0, 0))),
    ),
    max_size=14,
)


@settings(max_examples=30, deadline=None)
@given(
    steps=STEPS, slots=st.integers(1, 3), devices=st.integers(1, 2), together=st.booleans(), seed=st.integers(0, 2**16)
)
def test_whatever_the_streams_do_answers_are_those_of_one_hand_after_the_other(
    make_crops: MakeCrops, steps: list[Any], slots: int, devices: int, together: bool, seed: int
) -> None:
    simulated = [Simulated() for _ in range(devices)]
    engine = Replicas([opened(device, slots=slots, together=together) for device in simulated])
    random = Random(seed)
    waiting: list[tuple[list[Crop], Callable[[], Float32Array]]] = []
    for number, (action, count, size) in enumerate(steps):
        if action == "begin":
            crops = make_crops(count, pictures=random.randint(1, count), seed=seed + number, size=size)
            waiting.append((crops, engine.begin(crops)))
            assert all(device.under_way() <= slots for device in simulated)
        elif action == "go on":
            for _ in range(count):
                random.choice(simulated).go_on(random)
        elif waiting:
            crops, answer = waiting.pop(0)
            assert_same(answer(), crops)
    for crops, answer in waiting:
        assert_same(answer(), crops)
    engine.close()


def test_a_slot_that_is_written_to_too_early_would_be_noticed(make_crops: MakeCrops) -> None:
    """The same engine, made not to wait for its slot."""
    engine = opened(Simulated(), slots=1)
    engine.begin(make_crops(2, seed=1))
    engine._slots[0].pending = None
    second = engine.begin(make_crops(4, seed=2))
    with pytest.raises(RaceError, match="the host wrote to what upload 1 reads"):
        second()


def test_streams_that_do_not_wait_for_one_another_would_be_noticed(make_crops: MakeCrops) -> None:
    class Heedless(Simulated):
        def run(self, stream: Any, work: Any, after: Any = None) -> Any:
            return super().run(stream, work)

    device = Heedless()
    engine = opened(device)
    engine.begin(make_crops(2))
    device.go_on_with("upload")
    with pytest.raises(RaceError, match="no event says"):
        device.go_on_with("compute")


def test_replicas_are_dealt_to_in_turn(make_crops: MakeCrops) -> None:
    devices = [Simulated() for _ in range(3)]
    engine = Replicas([ready(device, make_crops) for device in devices])
    assert (engine.in_flight, engine.largest) == (6, 8)
    crops = [make_crops(2, seed=seed) for seed in range(7)]
    answers = [engine.begin(batch) for batch in crops[:6]]
    assert [device.under_way() for device in devices] == [2, 2, 2]
    answers.append(engine.begin(crops[6]))
    for batch, answer in zip(crops, answers, strict=True):
        assert_same(answer(), batch)
    assert [sum(stream == "upload" for stream, _ in device.log) for device in devices] == [3, 2, 2]
    engine.close()
