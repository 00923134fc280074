"""Batches on their way through a device: in which order, how many, in which buffers."""

from typing import Any

import numpy as np
import pytest

from hamba_core.errors import PipelineError
from stages.reconstruction.hamba.engine.device import Cpu
from stages.reconstruction.hamba.engine.engine import DeviceEngine
from stages.reconstruction.hamba.engine.replicas import Replicas
from stages.reconstruction.hamba.engine.slots import in_batches
from tests.stages.reconstruction.hamba.conftest import MakeCrops, QuickNetwork
from tests.stages.reconstruction.hamba.engines import SIZES, assert_same, opened, ready
from tests.stages.reconstruction.hamba.simulated import Simulated


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


def test_it_has_to_be_open(make_crops: MakeCrops) -> None:
    engine = opened(Simulated())
    engine.begin(make_crops(1))
    engine.close()
    with pytest.raises(PipelineError, match="expected open to be called first"):
        engine.begin(make_crops(1))


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
