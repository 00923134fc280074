"""The streams of a device do as they like: answers stay right, and no buffer is used by two pieces of work at once."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from hamba_core.arrays import Float32Array
from stages.reconstruction.hamba.engine.replicas import Replicas
from stages.reconstruction.hamba.engine.slots import Crop
from tests.stages.reconstruction.hamba.conftest import MakeCrops
from tests.stages.reconstruction.hamba.engines import assert_same, opened
from tests.stages.reconstruction.hamba.simulated import RaceError, Simulated

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
