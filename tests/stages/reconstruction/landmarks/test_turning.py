"""A hand that turns faster than a hand can was seen wrongly: it goes on as it was, unless that lasts."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from hamba_core.hand import exp_so3, load_generic_hand
from hamba_core.hand.rotations import angle_between
from stages.assets import CLIP
from stages.detection import DetectionSettings, HandDetection
from stages.packets import Detections, Frame, FrameResult
from stages.reconstruction.landmarks import LandmarksEstimator
from stages.reconstruction.reconstruction import Reconstruction, ReconstructionSettings
from stages.reconstruction.turning import Sight, Turning
from stages.smoothing import Smoothing, SmoothingSettings
from stages.sources import source_for
from stages.tracking import HandTracking
from tests.stages.reconstruction.landmarks.conftest import SeeHand


def sight(index: int, angle: float = 0.0, x: float = 0.0) -> Sight:
    return Sight(index / 30, exp_so3([0, angle, 0]), (x, 0.0), 0.3)


def watched(count: int) -> Turning:
    turning = Turning()
    for index in range(count):
        turning.take("hand", sight(index, 0.1 * index), held=False)
    return turning


def test_only_a_known_hand_that_is_where_it_was_is_doubted() -> None:
    turned = 3.0
    assert watched(8).doubts("hand", sight(8, turned))
    assert not watched(8).doubts("another", sight(8, turned))
    assert not watched(2).doubts("hand", sight(2, turned)), "known too shortly"
    assert not watched(8).doubts("hand", sight(8, turned, x=0.5)), "somewhere else"
    assert not watched(8).doubts("hand", sight(12, turned)), "after a gap"
    assert not watched(8).doubts("hand", sight(8, 0.7 + 0.9)), "no faster than hands are"


def test_what_is_seen_again_and_again_is_believed() -> None:
    turning, doubts = watched(8), []
    for index in range(8, 18):
        doubts.append(turning.doubts("hand", sight(index, 3.0)))
        turning.take("hand", sight(index, 0.7 if doubts[-1] else 3.0), held=doubts[-1])
    assert doubts == [True] * 5 + [False] * 5


def still(see_hand: SeeHand, seed: int, index: int, *, inside_out: bool, side: str) -> Detections:
    """A hand that is still; the 3D landmarks may be inside out, which goes with the same picture."""
    seen, _ = see_hand(seed, side, index=index, world_noise=0.002, pixel_noise=0.5)
    if not inside_out:
        return seen
    box = seen.boxes[0]
    return replace(seen, boxes=(replace(box, joints_world=box.joints_world * (1, 1, -1)),))


@pytest.mark.parametrize("together", [1, 16])
@pytest.mark.parametrize(("side", "seed"), [("left", 2), ("right", 5), ("right", 6)])
def test_a_still_hand_stays_where_the_depth_is_wrong_for_a_frame_or_three(
    see_hand: SeeHand, side: str, seed: int, together: int
) -> None:
    estimator = LandmarksEstimator(load_generic_hand())
    wrong = {7, 15, 16, 17}
    frames = [still(see_hand, seed, i, inside_out=i in wrong, side=side) for i in range(32)]
    hands = [hands[0] for at in range(0, 32, together) for hands in estimator.reconstruct(frames[at : at + together])]
    orients = np.stack([hand.global_orient for hand in hands]).astype(np.float64)
    assert np.degrees(angle_between(orients[:-1], orients[1:])).max() < 5
    for hand, frame in zip(hands, frames, strict=True):
        assert np.linalg.norm(hand.joints_2d - frame.boxes[0].joints_2d, axis=1).mean() < 4
    assert estimator.held >= len(wrong)
    assert [choice.chosen for choice in estimator.choices() if choice.subject == "hands held as before"] == [
        str(estimator.held)
    ]


def blurred(frames: list[Frame]) -> Iterator[Frame]:
    """Each frame the mean of five, as a long exposure in the dark is."""
    pictures = np.stack([frame.image for frame in frames]).astype(np.float32)
    for i, frame in enumerate(frames):
        yield replace(frame, image=pictures[max(i - 2, 0) : i + 3].mean(0).astype(np.uint8))


@pytest.fixture(scope="module")
def fast_hands() -> list[Frame]:
    """Of the shipped clip, the two seconds in which hands are fastest."""
    source = source_for(str(CLIP))
    source.open()
    frames = [frame for frame in source.frames() if frame is not None and 170 <= frame.meta.index < 235]
    source.close()
    return list(blurred(frames))


@pytest.mark.parametrize(
    ("estimator", "detector"), [("landmarks", "onnx"), ("hamba-s", "onnx"), ("hamba-s", "mediapipe")]
)
def test_in_heavy_motion_blur_no_wrist_turns_faster_than_it_can(
    fast_hands: list[Frame], estimator: str, detector: str, run_chain: Callable[..., list[FrameResult]]
) -> None:
    """With MediaPipe, hamba-s looks by itself; what it then takes for the other hand is turned back in depth."""
    results = run_chain(fast_hands, estimator, detector)
    before: dict[int, tuple[int, np.ndarray]] = {}
    turns = []
    for result in results:
        sides = [hand.side for hand in result.hands]
        assert len(sides) == len(set(sides)), "a person has one hand of a side"
        for hand in result.hands:
            orient = hand.global_orient.astype(np.float64)
            index, last = before.get(hand.track_id, (-9, orient))
            if index == result.frame.index - 1:
                turns.append(float(np.degrees(angle_between(last, orient))))
            before[hand.track_id] = (result.frame.index, orient)
    assert len(turns) > 70
    assert max(turns) <= 64


@pytest.fixture
def run_chain() -> Callable[..., list[FrameResult]]:
    """run_chain(frames, estimator, detector) -> results, as a run has them."""

    def run(frames: list[Frame], estimator: str, detector: str) -> list[FrameResult]:
        model = load_generic_hand()
        settings = ReconstructionSettings(estimator=estimator)
        reconstruction = Reconstruction(settings, model)
        own_maps = estimator == "hamba-s" and detector == "onnx"
        detection = HandDetection(DetectionSettings.model_validate({"detector": detector}), maps=own_maps)
        tracking, smoothing = HandTracking(), Smoothing(SmoothingSettings(), model)
        stages = (detection, tracking, reconstruction, smoothing)
        for stage in stages:
            stage.open()
        results = [
            smoothing.process(reconstruction.process(tracking.process(detection.process(frame)))) for frame in frames
        ]
        for stage in stages:
            stage.close()
        return results

    return run
