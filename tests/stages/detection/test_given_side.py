"""Where the side of every hand is given, it is that side's, whatever it looks like."""

from typing import Literal

import numpy as np
import pytest

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
