"""The detector looks at every n-th frame; between, tracking and the network keep the hands."""

from pathlib import Path

import numpy as np
import pytest

from hamba_core.view import Intrinsics
from stages.common.proximity import tight_box
from stages.detection import DetectionSettings, HandDetection
from stages.detection.hand_follower import HandFollower
from stages.packets import Detections, Frame, FrameMeta, HandBox, Image
from stages.reconstruction.hamba import HambaEstimator, NetworkSettings
from stages.tracking import HandTracking

IMAGE = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)


def frame(index: int) -> Frame:
    meta = FrameMeta("hands", index, index / 30, index + 1, 160, 120, Intrinsics.estimate(160, 120))
    return Frame(meta, IMAGE)


def seen(index: int) -> HandBox:
    """A hand that moves to the right by a pixel a frame."""
    grid = np.stack(np.meshgrid(np.arange(7), np.arange(3)), -1).reshape(21, 2) * 8.0
    joints = (grid + np.array([40 + index, 50])).astype(np.float32)
    return HandBox("right", 0.9, tight_box(joints).astype(np.float32), joints, np.zeros((21, 3), np.float32))


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times of the pictures that the networks were shown."""
    times: list[float] = []
    find = HandFollower.find

    def counting(self: HandFollower, image: Image, now: float) -> list[HandBox]:
        times.append(now)
        return find(self, image, now)

    monkeypatch.setattr(HandFollower, "find", counting)
    return times


def process_all(detector: HandDetection, count: int) -> list[Detections]:
    detector.open()
    results = [detector.process(frame(index)) for index in range(count)]
    detector.close()
    return results


@pytest.mark.parametrize(("every", "looked"), [(1, [1] * 7), (3, [1, 0, 0, 1, 0, 0, 1])])
def test_the_detector_passes_the_other_frames_over_and_says_so(
    every: int, looked: list[int], looked_at: list[float]
) -> None:
    results = process_all(HandDetection(DetectionSettings(every=every)), 7)
    assert [result.looked for result in results] == [bool(value) for value in looked]
    assert len(looked_at) == sum(looked)
    np.testing.assert_allclose(np.diff(looked_at), every / 30)


def test_stills_are_all_looked_at(looked_at: list[float]) -> None:
    results = process_all(HandDetection(DetectionSettings(every=3), stills=True), 4)
    assert all(result.looked for result in results)
    assert len(looked_at) == 4


def test_a_hand_keeps_id_and_score_over_frames_that_nobody_looked_at() -> None:
    tracking = HandTracking()
    shown = []
    for index in range(9):
        looked = index % 3 == 0
        shown.append(tracking.process(Detections(frame(index), (seen(index),) if looked else (), looked)))
    boxes = [packet.boxes[0] for packet in shown]
    assert [len(packet.boxes) for packet in shown] == [1] * 9
    assert [packet.looked for packet in shown] == [True, False, False] * 3
    assert {(box.track_id, round(box.score, 5)) for box in boxes} == {(1, 0.9)}
    assert [box.seen for box in boxes] == [True, False, False] * 3
    # Motion carries it on: it is expected to the right of where it was seen.
    assert boxes[5].box[0] > boxes[3].box[0]


def test_a_hand_that_the_detector_looked_for_and_missed_loses_score() -> None:
    tracking = HandTracking()
    tracking.process(Detections(frame(0), (seen(0),)))
    passed_over = tracking.process(Detections(frame(1), (), looked=False)).boxes[0]
    missed = tracking.process(Detections(frame(2), ())).boxes[0]
    assert passed_over.score == pytest.approx(0.9)
    assert missed.score < 0.9


def test_between_two_looks_the_network_cuts_around_the_joints_that_it_found(tiny_release: Path) -> None:
    tracking = HandTracking()
    estimator = HambaEstimator(tiny_release, settings=NetworkSettings(precision="float32"))
    estimator.open()
    packets = [
        tracking.process(Detections(frame(index), (seen(index),) if index % 3 == 0 else (), index % 3 == 0))
        for index in range(4)
    ]
    hands = [of_frame[0] for of_frame in estimator.reconstruct(packets)]
    estimator.close()
    for index in (1, 2):
        np.testing.assert_array_equal(hands[index].box, tight_box(hands[index - 1].joints_2d))
    for index in (0, 3):
        np.testing.assert_array_equal(hands[index].box, seen(index).box)
