"""Where the side of every hand is given, it is that side's, whatever it looks like."""

from typing import Literal

import numpy as np
import pytest

from hamba_core.metrics import pa_mpjpe
from stages.assets import CLIP, CLIP_TRUTH
from stages.common.proximity import joint_distance
from stages.detection import DetectionSettings, HandDetection
from stages.packets import Detections, Frame
from stages.sources import source_for
from stages.synthetic import load_truth

Side = Literal["left", "right"]
FRAMES = 60


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    source = source_for(str(CLIP))
    source.open()
    given = [frame for frame, _ in zip((f for f in source.frames() if f is not None), range(FRAMES), strict=False)]
    source.close()
    return given


def detected(frames: list[Frame], side: Literal["auto", "left", "right"], detector: str = "onnx") -> list[Detections]:
    with HandDetection(DetectionSettings.model_validate({"side": side, "detector": detector})) as stage:
        return [stage.process(frame) for frame in frames]


@pytest.mark.parametrize("detector", ["onnx", "mediapipe"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_every_hand_has_the_side_that_is_given(frames: list[Frame], side: Side, detector: str) -> None:
    boxes = [box for packet in detected(frames[:20], side, detector) for box in packet.boxes]
    assert len(boxes) >= 20
    assert {box.side for box in boxes} == {side}
    if detector == "onnx":
        assert {box.look.mirrored for box in boxes if box.look} == {side == "left"}


@pytest.mark.parametrize("detector", ["onnx", "mediapipe"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_its_depth_is_that_of_a_hand_of_that_side(frames: list[Frame], side: Side, detector: str) -> None:
    """A hand of the other side gives the same picture as one of this side that is mirrored in depth."""
    truth = load_truth(CLIP_TRUTH)
    for hand, own in enumerate(truth.sides):
        errors = []
        for number, packet in enumerate(detected(frames[:6], side, detector)):
            for box in packet.boxes:
                if joint_distance(box.joints_2d, truth.joints_2d[number, hand]) < 0.15:
                    joints = truth.joints[number, hand].astype(np.float64)
                    inside_out = joints * (1, 1, -1)
                    errors.append([float(pa_mpjpe(box.joints_world, each)) for each in (joints, inside_out)])
        assert len(errors) >= 5
        as_it_is, inside_out_error = np.mean(errors, 0)
        if own == side:
            assert as_it_is < 0.012 < 1.15 * as_it_is < inside_out_error, "m"
        else:
            assert inside_out_error < 0.012 < 1.15 * inside_out_error < as_it_is, "m"


def test_hands_of_that_side_are_found_as_well_as_where_nothing_is_given(frames: list[Frame]) -> None:
    truth = load_truth(CLIP_TRUTH)
    for hand, side in enumerate(truth.sides):
        distances: dict[str, list[float]] = {}
        for given in ("auto", side):
            packets = detected(frames, given)
            distances[given] = [
                min((joint_distance(box.joints_2d, truth.joints_2d[number, hand]) for box in packet.boxes), default=9.0)
                for number, packet in enumerate(packets)
                if truth.palm_in_view[number, hand]
            ]
        assert len(distances[side]) > 20
        assert np.median(distances[side]) < 1.1 * np.median(distances["auto"]) + 0.005


def test_the_report_says_that_the_side_is_given() -> None:
    stage = HandDetection(DetectionSettings(side="left"))
    assert ("side", "every hand is a left one") in [(each.subject, each.chosen) for each in stage.choices()]
    assert [each.subject for each in HandDetection().choices()] == ["detector"]
