"""On the clip that ships, detector and tracker find every hand, on its side, under one id, where it truly is."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

from hamba_core.metrics import pa_mpjpe
from stages.assets import CLIP, CLIP_TRUTH
from stages.common.proximity import joint_distance
from stages.detection.detection import DetectionSettings, HandDetection
from stages.packets import Detections, Frame, HandBox
from stages.sources import source_for
from stages.synthetic import ClipTruth, load_truth
from stages.tracking import HandTracking

MATCH = 0.25  # of a hand's size: a found hand is nearer to the truth than this


class Sight(NamedTuple):
    """A hand of the truth in a frame, and what was found of it."""

    frame: int
    hand: int
    found: HandBox | None


@dataclass
class Clip:
    """Run once for all tests."""

    settings: DetectionSettings
    truth: ClipTruth
    frames: list[Frame]
    detected: list[Detections]
    tracked: list[Detections]

    def sights(self, packets: list[Detections]) -> list[Sight]:
        """Every hand of the truth in every frame, with the box nearest to it."""
        sights = []
        for frame, packet in enumerate(packets):
            for hand in range(len(self.truth.sides)):
                joints = self.truth.joints_2d[frame, hand]
                nearest = min(packet.boxes, key=lambda box: joint_distance(box.joints_2d, joints), default=None)
                near = nearest is not None and joint_distance(nearest.joints_2d, joints) < MATCH
                sights.append(Sight(frame, hand, nearest if near else None))
        return sights


@pytest.fixture(scope="module", params=["onnx", "mediapipe"])
def clip(request: pytest.FixtureRequest) -> Clip:
    settings = DetectionSettings(detector=request.param)
    source = source_for(str(CLIP))
    source.open()
    detection, tracking = HandDetection(settings), HandTracking()
    detection.open()
    frames = [frame for frame in source.frames() if frame is not None]
    detected = [detection.process(frame) for frame in frames]
    tracked = [tracking.process(packet) for packet in detected]
    detection.close()
    source.close()
    return Clip(settings, load_truth(CLIP_TRUTH), frames, detected, tracked)


def test_the_clip_has_a_truth_for_every_frame(clip: Clip) -> None:
    assert len(clip.frames) == len(clip.truth.joints) >= 250
    assert clip.truth.palm_in_view.mean() > 0.3, "or the tests below say little"


@pytest.mark.parametrize("hand", [0, 1])
def test_a_hand_whose_palm_is_in_view_is_found_in_97_percent_of_its_frames(clip: Clip, hand: int) -> None:
    found = [
        sight.found is not None
        for sight in clip.sights(clip.tracked)
        if sight.hand == hand and clip.truth.palm_in_view[sight.frame, hand]
    ]
    assert np.mean(found) >= 0.97


def test_no_hand_has_the_wrong_side(clip: Clip) -> None:
    wrong = [
        (sight.frame, sight.hand)
        for sight in clip.sights(clip.tracked)
        if sight.found is not None and sight.found.side != clip.truth.sides[sight.hand]
    ]
    assert wrong == []


def test_a_hand_keeps_its_id_while_it_is_in_the_picture(clip: Clip) -> None:
    height, width = clip.truth.height, clip.truth.width
    for hand in range(len(clip.truth.sides)):
        palms = clip.truth.joints_2d[:, hand, [0, 5, 9, 13, 17]].mean(1)
        inside = ((palms >= 0) & (palms <= (width, height))).all(1)
        ids: set[int | None] = set()
        for sight in clip.sights(clip.tracked):
            if sight.hand == hand:
                if not inside[sight.frame]:
                    ids = set()
                elif sight.found is not None:
                    ids.add(sight.found.track_id)
                    assert len(ids) == 1, f"frame {sight.frame}"


def test_an_id_means_one_hand(clip: Clip) -> None:
    pairs = {(sight.found.track_id, sight.hand) for sight in clip.sights(clip.tracked) if sight.found is not None}
    assert len(pairs) == len({track_id for track_id, _ in pairs})


def test_hardly_anything_is_found_that_is_not_there(clip: Clip) -> None:
    found = sum(len(packet.boxes) for packet in clip.tracked)
    real = {(sight.frame, sight.found.track_id) for sight in clip.sights(clip.tracked) if sight.found is not None}
    assert found - len(real) <= 0.01 * found


def test_the_detectors_own_sides_are_right_for_pictures_that_are_not_mirrored(clip: Clip) -> None:
    sides = [
        sight.found.side == clip.truth.sides[sight.hand]
        for sight in clip.sights(clip.detected)
        if sight.found is not None and clip.truth.palm_in_view[sight.frame, sight.hand]
    ]
    assert np.mean(sides) > 0.97


def test_mirrored_pictures_give_the_same_hands_once_turned_back(clip: Clip) -> None:
    detection = HandDetection(clip.settings.model_copy(update={"mirror": True}))
    detection.open()
    for frame, expected in list(zip(clip.frames, clip.detected, strict=True))[:10]:
        mirrored = Frame(frame.meta, frame.image[:, ::-1])
        found = detection.process(mirrored)
        np.testing.assert_array_equal(found.frame.image, frame.image)
        assert {box.side for box in found.boxes} == {box.side for box in expected.boxes}
        for box, same in zip(found.boxes, expected.boxes, strict=True):
            np.testing.assert_allclose(box.joints_2d, same.joints_2d, atol=0.01)
    detection.close()


def test_stills_are_found_each_for_itself(clip: Clip) -> None:
    """Every thirtieth frame in a row that makes no sense as a video."""
    detection, tracking = HandDetection(clip.settings, stills=True), HandTracking(stills=True)
    detection.open()
    order = np.random.default_rng(0).permutation(np.arange(0, len(clip.frames), 30))
    still = [tracking.process(detection.process(clip.frames[i])) for i in order]
    detection.close()
    wanted = {(i, hand) for i in order for hand in (0, 1) if clip.truth.palm_in_view[i, hand]}
    found = set()
    for i, packet in zip(order, still, strict=True):
        for hand in (0, 1):
            near = [box for box in packet.boxes if joint_distance(box.joints_2d, clip.truth.joints_2d[i, hand]) < MATCH]
            if near:
                assert near[0].side == clip.truth.sides[hand]
                found.add((i, hand))
    assert len(wanted - found) <= 1
    ids = [box.track_id for packet in still for box in packet.boxes]
    assert len(ids) == len(set(ids)), "a hand of another picture is another hand"


def test_joints_lie_where_they_truly_are(clip: Clip) -> None:
    in_picture, in_space, turned_inside_out, alike = [], [], [], []
    for sight in clip.sights(clip.detected):
        if sight.found is None or not clip.truth.palm_in_view[sight.frame, sight.hand]:
            continue
        truth = clip.truth.joints[sight.frame, sight.hand].astype(np.float64)
        world = sight.found.joints_world.astype(np.float64)
        in_picture.append(joint_distance(sight.found.joints_2d, clip.truth.joints_2d[sight.frame, sight.hand]))
        in_space.append(pa_mpjpe(world, truth))
        turned_inside_out.append(pa_mpjpe(world * (1, 1, -1), truth))
        alike.append([np.corrcoef(world[:, axis], truth[:, axis])[0, 1] for axis in (0, 1)])
    assert np.mean(in_picture) < 0.06, "of the hand's size"
    assert np.mean(in_space) < 0.015, "m"
    assert np.mean(alike, 0).min() > 0.9, "x goes right and y down"
    assert np.mean(in_space) < 0.8 * np.mean(turned_inside_out), "z goes forward, or the hand would be the other one"


def test_boxes_are_tight_around_the_joints(clip: Clip) -> None:
    for packet in clip.tracked:
        for box in packet.boxes:
            np.testing.assert_array_equal(box.box, [*box.joints_2d.min(0), *box.joints_2d.max(0)])
