"""Palms are found where hands are, in pictures of any size and shape, once each."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from stages.assets import CLIP, CLIP_TRUTH
from stages.detection.palm_detector import PALM_JOINTS, Palm, PalmDetector
from stages.packets import Frame, Image
from stages.sources import source_for
from stages.synthetic import ClipTruth, load_truth


@pytest.fixture(scope="module")
def detector() -> PalmDetector:
    return PalmDetector()


@pytest.fixture(scope="module")
def truth() -> ClipTruth:
    return load_truth(CLIP_TRUTH)


@pytest.fixture(scope="module")
def frames() -> Iterator[list[Frame]]:
    source = source_for(str(CLIP))
    source.open()
    yield [frame for frame in source.frames() if frame is not None and frame.meta.index % 10 == 0]
    source.close()


def of_hand(palms: list[Palm], joints: np.ndarray) -> list[Palm]:
    """The palms whose joints are within a quarter of a palm of this hand's (21, 2), on average."""
    expected = joints[list(PALM_JOINTS)]
    size = np.hypot(*np.ptp(expected, axis=0))
    return [palm for palm in palms if np.linalg.norm(palm.joints - expected, axis=1).mean() < size / 4]


def test_palms_in_view_are_found_once_each_and_nothing_else(
    detector: PalmDetector, truth: ClipTruth, frames: list[Frame]
) -> None:
    wanted = found = more = 0
    for frame in frames:
        i = frame.meta.index
        palms = detector.find(frame.image)
        of_hands = [of_hand(palms, truth.joints_2d[i, hand]) for hand in (0, 1)]
        for hand in (0, 1):
            if truth.palm_in_view[i, hand]:
                wanted += 1
                found += len(of_hands[hand]) == 1
        more += len(palms) - sum(map(len, of_hands))
    assert wanted > 10
    assert found >= 0.97 * wanted
    assert more <= 1


def test_a_palms_crop_holds_the_hand_upright(detector: PalmDetector, truth: ClipTruth, frames: list[Frame]) -> None:
    seen = 0
    for frame in frames:
        i = frame.meta.index
        for hand in (0, 1):
            joints = truth.joints_2d[i, hand]
            for palm in of_hand(detector.find(frame.image), joints):
                if not truth.palm_in_view[i, hand]:
                    continue
                T = palm.crop().T_crop_picture
                x, y = (joints @ T[:, :2].T + T[:, 2]).T
                assert min(x.min(), y.min()) > 0
                assert max(x.max(), y.max()) < 224
                assert y[9] < y[0] - 2 * abs(x[9] - x[0])
                seen += 1
    assert seen > 10


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("larger", [0.5, 3.0])
def test_palms_are_found_in_pictures_of_any_size_and_shape(
    detector: PalmDetector, truth: ClipTruth, frames: list[Frame], turned: bool, larger: float
) -> None:
    frame = next(f for f in frames if truth.palm_in_view[f.meta.index].all())
    picture, joints = frame.image, truth.joints_2d[frame.meta.index]
    if turned:  # a quarter, clockwise
        picture = np.ascontiguousarray(np.rot90(picture, -1))
        joints = np.stack([frame.meta.height - joints[..., 1], joints[..., 0]], -1)
    picture = np.asarray(cv2.resize(picture, None, fx=larger, fy=larger, interpolation=cv2.INTER_AREA), np.uint8)
    palms = detector.find(picture)
    assert [len(of_hand(palms, larger * of_one)) for of_one in joints] == [1, 1]


@pytest.mark.parametrize("shape", [(480, 640), (1, 1), (2, 4000), (3000, 3)])
def test_there_are_no_palms_in_nothing(detector: PalmDetector, shape: tuple[int, int]) -> None:
    black: Image = np.zeros((*shape, 3), np.uint8)
    assert detector.find(black) == []
    assert detector.find(np.random.default_rng(0).integers(0, 256, black.shape, np.uint8)) == []


def test_the_likeliest_palm_comes_first_and_none_is_below_what_is_asked_for(
    detector: PalmDetector, frames: list[Frame]
) -> None:
    scores = [[palm.score for palm in detector.find(frame.image, 0.2)] for frame in frames]
    assert all(of_frame == sorted(of_frame, reverse=True) for of_frame in scores)
    assert min(map(min, scores)) >= 0.2
    assert [len(detector.find(frame.image, 0.8)) for frame in frames] == [sum(s >= 0.8 for s in f) for f in scores]
