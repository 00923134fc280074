"""On the clip that ships, the landmarks estimator is nearer to the truth than the landmarks that it is given."""

from dataclasses import dataclass

import numpy as np
import pytest

from hamba_core.hand import load_generic_hand
from hamba_core.metrics import mpjpe, pa_mpjpe
from stages.assets import CLIP, CLIP_TRUTH
from stages.common.proximity import joint_distance
from stages.detection import HandDetection
from stages.packets import Hand, HandBox
from stages.reconstruction.reconstruction import Reconstruction, ReconstructionSettings
from stages.sources import source_for
from stages.synthetic import load_truth
from stages.tracking import HandTracking

MATCH = 0.25  # of a hand's size: a found hand is nearer to the truth than this


@dataclass
class Fitted:
    """A hand of the truth that was found and fitted."""

    frame: int
    truth: np.ndarray  # (21, 3) m
    truth_2d: np.ndarray  # (21, 2) px
    box: HandBox
    hand: Hand


@dataclass
class Clip:
    """Run once for all tests."""

    boxes: int
    hands: list[Fitted]

    def joints(self) -> np.ndarray:
        return np.stack([each.hand.joints for each in self.hands]).astype(np.float64)

    def detected(self) -> np.ndarray:
        return np.stack([each.box.joints_world for each in self.hands]).astype(np.float64)

    def truth(self) -> np.ndarray:
        return np.stack([each.truth for each in self.hands]).astype(np.float64)


@pytest.fixture(scope="module")
def clip() -> Clip:
    truth, source = load_truth(CLIP_TRUTH), source_for(str(CLIP))
    settings = ReconstructionSettings(estimator="landmarks")
    stages = HandDetection(), HandTracking(), Reconstruction(settings, load_generic_hand())
    source.open()
    for stage in stages:
        stage.open()
    detection, tracking, reconstruction = stages
    result = Clip(0, [])
    for frame in source.frames():
        if frame is None:
            continue
        tracked = tracking.process(detection.process(frame))
        result.boxes += len(tracked.boxes)
        boxes = {box.track_id: box for box in tracked.boxes}
        i = frame.meta.index
        for hand in reconstruction.process(tracked).hands:
            box = boxes[hand.track_id]
            near = [h for h in (0, 1) if joint_distance(box.joints_2d, truth.joints_2d[i, h]) < MATCH]
            if near:
                result.hands.append(Fitted(i, truth.joints[i, near[0]], truth.joints_2d[i, near[0]], box, hand))
    for stage in stages:
        stage.close()
    source.close()
    return result


def test_every_tracked_hand_is_fitted(clip: Clip) -> None:
    assert clip.boxes > 450
    assert len(clip.hands) > 0.98 * clip.boxes


def test_joints_are_nearer_to_the_truth_than_the_detectors_own(clip: Clip) -> None:
    fitted, detected = pa_mpjpe(clip.joints(), clip.truth()), pa_mpjpe(clip.detected(), clip.truth())
    assert fitted.mean() <= 1.05 * detected.mean(), "what is asked for"
    assert fitted.mean() < 0.9 * detected.mean(), "what is had"


def test_joints_are_seen_where_the_detector_sees_them(clip: Clip) -> None:
    distances = [np.linalg.norm(each.hand.joints_2d - each.box.joints_2d, axis=1) for each in clip.hands]
    assert np.mean(distances) < 6, "px"


def test_joints_are_nearer_to_their_true_place_in_the_picture_than_the_detectors(clip: Clip) -> None:
    fitted = np.mean([mpjpe(each.hand.joints_2d, each.truth_2d) for each in clip.hands])
    detected = np.mean([mpjpe(each.box.joints_2d, each.truth_2d) for each in clip.hands])
    assert fitted < 0.8 * detected


def test_hands_are_at_their_distance(clip: Clip) -> None:
    ratio = clip.joints()[..., 2].mean(1) / clip.truth()[..., 2].mean(1)
    assert abs(np.median(ratio) - 1) < 0.15, "a hand of unknown size"
    assert np.abs(ratio / np.median(ratio) - 1).mean() < 0.06


def test_a_hand_moves_as_smoothly_as_its_landmarks(clip: Clip) -> None:
    """Second differences of joints about their centre: what the fit adds to the detector's own jitter."""
    at = {(each.hand.track_id, each.frame): i for i, each in enumerate(clip.hands)}
    threes = [
        (at[track, frame - 1], i, at[track, frame + 1])
        for (track, frame), i in at.items()
        if (track, frame - 1) in at and (track, frame + 1) in at
    ]
    before, now, after = np.array(threes).T

    def jitter(joints: np.ndarray) -> float:
        about_centre = joints - joints.mean(1, keepdims=True)
        size = np.linalg.norm(about_centre, axis=2).mean()
        jerk = about_centre[before] + about_centre[after] - 2 * about_centre[now]
        return float(np.linalg.norm(jerk, axis=2).mean() / size)

    assert jitter(clip.joints()) < 1.1 * jitter(clip.detected())


def test_a_track_keeps_its_shape(clip: Clip) -> None:
    """Once the first frames are over."""
    for track in {each.hand.track_id for each in clip.hands}:
        betas = np.array([each.hand.betas for each in clip.hands if each.hand.track_id == track])
        if len(betas) > 60:
            assert np.abs(np.diff(betas[30:], axis=0)).max() < 0.1
