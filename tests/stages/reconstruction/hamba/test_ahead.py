"""The estimator with frames under way on a device: the same hands as one frame after the other, whatever waits."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from hamba_core.errors import DeviceError
from hamba_core.view import Intrinsics
from hamba_core.weights import load
from stages.common.proximity import tight_box
from stages.packets import Detections, Frame, FrameMeta, Hand, HandBox
from stages.reconstruction.hamba import HambaEstimator
from stages.reconstruction.hamba.engine.device import Cpu
from stages.reconstruction.hamba.engine.engine import DeviceEngine
from stages.reconstruction.hamba.opening import Model
from tests.stages.reconstruction.hamba.conftest import QuickNetwork
from tests.stages.reconstruction.hamba.simulated import Simulated

WIDTH, HEIGHT = 64, 48


def frame(index: int, *tracks: int, seen: bool = True) -> Detections:
    """Noise, and a box for each of these tracks; 0 is one without an id."""
    image = np.random.default_rng(index).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    meta = FrameMeta("hands", index, index / 30, index + 1, WIDTH, HEIGHT, Intrinsics.estimate(WIDTH, HEIGHT))
    boxes = tuple(
        HandBox(
            "left" if track % 2 else "right",
            0.9,
            np.array([5 * track + index, 10, 5 * track + index + 12, 30], np.float32),
            np.zeros((21, 2), np.float32),
            np.zeros((21, 3), np.float32),
            track or None,
            seen,
        )
        for track in tracks
    )
    return Detections(Frame(meta, image), boxes)


def estimator_on(device: Any, network: Any, patch: pytest.MonkeyPatch, slots: int = 2) -> HambaEstimator:
    """Opened on this device."""
    engine = DeviceEngine(network, device, (1, 2, 4), slots)
    engine.open()
    patch.setattr("stages.reconstruction.hamba.opening.open_model", lambda *_, **__: Model(engine, 4, ()))
    estimator = HambaEstimator(Path("unused"))
    estimator.open()
    return estimator


def assert_same(found: Sequence[Sequence[Hand]], expected: Sequence[Sequence[Hand]]) -> None:
    assert [[hand.track_id for hand in hands] for hands in found] == [[h.track_id for h in hands] for hands in expected]
    for ours, theirs in zip(chain.from_iterable(found), chain.from_iterable(expected), strict=True):
        np.testing.assert_allclose(ours.vertices, theirs.vertices, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(ours.box, theirs.box, rtol=1e-3, atol=1e-2)


def capture_all(estimator: HambaEstimator) -> None:
    """Show it frames 0 and 1, a slot each, with which everything is captured that has to be: that waits."""
    for index in range(2):
        estimator.begin([frame(index, 9)])()


def test_two_batches_are_under_way_until_they_are_waited_for(
    tiny_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Simulated()
    estimator = estimator_on(device, load(tiny_release), monkeypatch)
    assert (estimator.in_flight, estimator.batch) == (2, 4)
    capture_all(estimator)
    first, second = (estimator.begin([frame(index, 1, 2)]) for index in range(2, 4))
    assert device.under_way() == 2
    assert [hand.track_id for hand in first()[0]] == [1, 2]
    assert device.under_way() == 1
    assert [hand.track_id for hand in second()[0]] == [1, 2]
    estimator.close()


def test_a_guess_waits_for_the_hand_that_is_under_way(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Simulated()
    estimator = estimator_on(device, network, monkeypatch)
    capture_all(estimator)
    first = estimator.begin([frame(2, 1)])
    stranger = estimator.begin([frame(3, 2, seen=False)])
    assert device.under_way() == 2, "where the second track was, nothing under way can say"
    guess = estimator.begin([frame(4, 1, seen=False)])
    assert device.under_way() == 1, "only the guess itself"
    ((hand,),) = first()
    ((guessed,),) = guess()
    np.testing.assert_array_equal(guessed.box, tight_box(hand.joints_2d))
    assert [hand.track_id for hand in stranger()[0]] == [2]
    estimator.close()


def test_a_batch_that_fails_fails_for_itself_alone(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Simulated()
    estimator = estimator_on(device, network, monkeypatch)
    first, second = (estimator.begin([frame(index, 1)]) for index in range(2))
    device.fail_at["compute"] = ValueError("made up")
    with pytest.raises(ValueError, match="made up"):
        estimator.begin([frame(2, 1)])
    third = estimator.begin([frame(3, 1)])
    assert [len(finish()[0]) for finish in (first, second, third)] == [1, 1, 1]
    estimator.close()


def test_a_guess_behind_a_lost_batch_leaves_the_error_to_those_who_wait_for_it(
    network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Simulated()
    estimator = estimator_on(device, network, monkeypatch)
    first = estimator.begin([frame(0, 1)])
    device.lost = True
    with pytest.raises(DeviceError):
        estimator.begin([frame(1, 1, seen=False)])
    with pytest.raises(DeviceError, match="unspecified launch failure"):
        first()
    estimator.close()


def test_what_is_under_way_at_the_close_is_let_go(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Simulated()
    estimator = estimator_on(device, network, monkeypatch)
    estimator.begin([frame(0, 1)])
    estimator.close()
    assert device.under_way() == 0


FRAMES = st.lists(
    st.tuples(
        st.lists(st.sampled_from([0, 1, 2, 3]), max_size=3, unique=True),  # tracks
        st.booleans(),  # seen
        st.booleans(),  # a new batch begins
        st.booleans(),  # the oldest batch is waited for
    ),
    min_size=1,
    max_size=7,
)


@settings(max_examples=25, deadline=None)
@given(plan=FRAMES)
def test_any_sequence_gives_the_hands_of_one_frame_after_the_other(plan: list[Any]) -> None:
    network = QuickNetwork()
    frames = [frame(index, *tracks, seen=seen) for index, (tracks, seen, _, _) in enumerate(plan)]
    with pytest.MonkeyPatch.context() as patch:
        alone = estimator_on(Cpu(), network, patch, slots=1)
        expected = [alone.reconstruct([packet])[0] for packet in frames]
        estimator = estimator_on(Simulated(), network, patch)
    waiting: list[Any] = []
    found: list[tuple[Hand, ...]] = []
    batch: list[Detections] = []
    for packet, (_, _, ends_batch, waits) in zip(frames, plan, strict=True):
        batch.append(packet)
        if ends_batch:
            waiting.append(estimator.begin(batch))
            batch = []
        if waits and waiting:
            found += waiting.pop(0)()
    waiting.append(estimator.begin(batch))
    for finish in waiting:
        found += finish()
    assert_same(found, expected)
    estimator.close()
