"""Several estimators on one network: their hands go through it together, in turn, and each gets its own."""

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from hamba_core.arrays import Float32Array
from hamba_core.errors import DeviceError, PipelineError
from hamba_core.hand import load_generic_hand
from stages.packets import Choice
from stages.reconstruction.hamba.engine.engine import DeviceEngine
from stages.reconstruction.hamba.engine.slots import Answer, Crop
from stages.reconstruction.hamba.opening import Model
from stages.reconstruction.hamba.sharing import Dispatcher, SharedModel
from tests.stages.reconstruction.hamba.conftest import MakeCrops, QuickNetwork
from tests.stages.reconstruction.hamba.simulated import Simulated

PATIENCE = 30.0


class Gated:
    """An engine that gives each crop's square back, and ends a batch when a test opens the gate."""

    in_flight = 1
    largest = 4

    def __init__(self) -> None:
        self.batches: list[list[float]] = []  # of each, the x of its crops
        self.gate = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.fails: Exception | None = None
        self.closed = 0

    def begin(self, crops: Sequence[Crop]) -> Answer:
        self.batches.append([crop.square.x for crop in crops])
        error = self.fails
        self.begun.release()

        def answer() -> Float32Array:
            assert self.gate.acquire(timeout=PATIENCE)
            if error is not None:
                raise error
            return np.array([crop.square for crop in crops], np.float32)

        return answer

    def choices(self) -> tuple[Choice, ...]:
        return (Choice("batches", "up to 4 hands", "a test"),)

    def close(self) -> None:
        self.closed += 1

    def let_go(self, batches: int) -> None:
        for _ in range(batches):
            self.gate.release()

    def wait_for_batch(self) -> None:
        assert self.begun.acquire(timeout=PATIENCE)


@pytest.fixture
def gated() -> Iterator[Gated]:
    engine = Gated()
    yield engine
    engine.let_go(100)


@pytest.fixture
def dispatcher(gated: Gated) -> Iterator[Dispatcher]:
    """One that drives the gated engine; its thread is gone at the end."""
    made = Dispatcher(gated)
    yield made
    gated.let_go(100)
    for member in made.members:
        member.close()
    made.close_if_deserted()


def numbered(make_crops: MakeCrops, *numbers: int, size: tuple[int, int] = (24, 32)) -> list[Crop]:
    """Crops that can be told apart by their square's x."""
    crops = make_crops(len(numbers), size=size)
    return [crop._replace(square=crop.square._replace(x=number)) for crop, number in zip(crops, numbers, strict=True)]


def xs(answer: Answer) -> list[float]:
    return [float(x) for x in answer()[:, 0]]


def test_what_waits_meanwhile_goes_together_a_request_of_each_in_turn(
    gated: Gated, dispatcher: Dispatcher, make_crops: MakeCrops
) -> None:
    busy, quiet, other = (dispatcher.join() for _ in range(3))
    first = busy.begin(numbered(make_crops, 0))
    gated.wait_for_batch()  # the engine is at work on it; what comes now has to wait
    answers = [busy.begin(numbered(make_crops, 10 + n)) for n in range(5)]
    answers += [quiet.begin(numbered(make_crops, 20)), other.begin(numbered(make_crops, 30, 31))]
    gated.let_go(10)
    assert xs(first) == [0]
    assert [xs(answer) for answer in answers] == [[10], [11], [12], [13], [14], [20], [30, 31]]
    # Neither of the two others had to wait until all of the first one's were done.
    assert [sorted(batch) for batch in gated.batches] == [[0], [10, 20, 30, 31], [11, 12, 13, 14]]


def test_a_request_that_has_no_room_any_more_is_the_first_of_the_next_batch(
    gated: Gated, dispatcher: Dispatcher, make_crops: MakeCrops
) -> None:
    small, large = dispatcher.join(), dispatcher.join()
    small.begin(numbered(make_crops, 0))
    gated.wait_for_batch()
    answers = [small.begin(numbered(make_crops, n)) for n in (1, 2, 3)]
    answers.append(large.begin(numbered(make_crops, 10, 11, 12, 13, 14, 15)))
    gated.let_go(10)
    assert [xs(answer) for answer in answers] == [[1], [2], [3], [10, 11, 12, 13, 14, 15]]
    assert 10 in gated.batches[1] or gated.batches[2][0] == 10


def test_pictures_of_one_shape_stand_together(gated: Gated, dispatcher: Dispatcher, make_crops: MakeCrops) -> None:
    members = [dispatcher.join() for _ in range(4)]
    members[0].begin(numbered(make_crops, 0))
    gated.wait_for_batch()
    sizes = [(24, 32), (40, 20), (24, 32), (40, 20)]
    answers = [
        member.begin(numbered(make_crops, number, size=size))
        for number, (member, size) in enumerate(zip(members, sizes, strict=True))
    ]
    gated.let_go(10)
    assert [xs(answer) for answer in answers] == [[0], [1], [2], [3]]
    assert sorted(gated.batches[1]) == [0, 1, 2, 3]
    assert {tuple(sorted(gated.batches[1][:2])), tuple(sorted(gated.batches[1][2:]))} == {(0, 2), (1, 3)}


def test_an_error_goes_to_those_whose_hands_were_in_the_batch(
    gated: Gated, dispatcher: Dispatcher, make_crops: MakeCrops
) -> None:
    one, other = dispatcher.join(), dispatcher.join()
    gated.fails = DeviceError("lost")
    first = one.begin(numbered(make_crops, 0))
    gated.wait_for_batch()
    gated.fails = None
    second = other.begin(numbered(make_crops, 1))
    gated.let_go(2)
    with pytest.raises(DeviceError, match="lost"):
        first()
    assert xs(second) == [1]


def test_one_that_leaves_is_forgotten_and_the_others_go_on(
    gated: Gated, dispatcher: Dispatcher, make_crops: MakeCrops
) -> None:
    one, other = dispatcher.join(), dispatcher.join()
    one.begin(numbered(make_crops, 0))
    gated.wait_for_batch()
    one.begin(numbered(make_crops, 1))
    second = other.begin(numbered(make_crops, 2))
    one.close()
    gated.let_go(10)
    assert xs(second) == [2]
    assert gated.batches == [[0], [2]]
    assert not dispatcher.close_if_deserted()
    with pytest.raises(PipelineError, match="join again"):
        one.begin(numbered(make_crops, 3))
    other.close()
    assert dispatcher.close_if_deserted()
    assert gated.closed == 1


def model_of(engine: Any) -> Model:
    return Model(engine, 4, (Choice("weights", "none", "a test"),))


def test_a_network_is_opened_by_the_first_and_closed_with_the_last(gated: Gated) -> None:
    opened = []

    def open_model() -> Model:
        opened.append(1)
        return model_of(gated)

    shared = SharedModel(open_model, load_generic_hand())
    assert not opened
    one, other = shared.join(), shared.join()
    assert len(opened) == 1
    assert one.engine.choices()[-1].chosen == "2"
    one.engine.close()
    one.engine.close()
    assert gated.closed == 0
    other.engine.close()
    assert gated.closed == 1
    shared.join().engine.close()
    assert len(opened) == 2


def test_a_network_that_cannot_be_opened_is_an_error_of_the_one_that_tried(gated: Gated) -> None:
    tries: list[int] = []

    def open_model() -> Model:
        tries.append(1)
        if len(tries) == 1:
            raise DeviceError("no room")
        return model_of(gated)

    shared = SharedModel(open_model, load_generic_hand())
    with pytest.raises(DeviceError, match="no room"):
        shared.join()
    shared.join().engine.close()


def test_many_threads_get_their_own_hands_from_one_device(make_crops: MakeCrops) -> None:
    device = Simulated()
    network: Any = QuickNetwork()
    engine = DeviceEngine(network, device, (1, 2, 4, 8), 2)
    engine.open()
    alone = DeviceEngine(network, Simulated(), (1, 2, 4, 8), 1)
    alone.open()
    given = {(n, i): make_crops(1 + (n + i) % 3, seed=10 * n + i) for n in range(4) for i in range(6)}
    expected = {key: alone.begin(crops)() for key, crops in given.items()}
    shared = SharedModel(lambda: model_of(engine), load_generic_hand())
    faults: list[BaseException] = []
    ready = threading.Barrier(4)

    def work(number: int) -> None:
        try:
            member = shared.join().engine
            ready.wait(PATIENCE)
            answers = [member.begin(given[number, i]) for i in range(3)]
            for i in range(6):
                np.testing.assert_allclose(answers[i](), expected[number, i], rtol=1e-4, atol=1e-4)
                if i < 3:
                    answers.append(member.begin(given[number, i + 3]))
            member.close()
        except BaseException as error:  # noqa: BLE001 - looked at below
            faults.append(error)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert faults == []
    hands = sum(len(crops) for crops in given.values())
    batches = sum(stream == "upload" for stream, _ in device.log)
    assert batches < len(given), f"{hands} hands of {len(given)} requests went one by one"
