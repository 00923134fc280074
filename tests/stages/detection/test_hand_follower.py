"""Hands are followed by looks where they are expected; palms are searched for only while hands are missing."""

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from stages.assets import CLIP, CLIP_TRUTH
from stages.common.proximity import joint_distance
from stages.detection.hand_follower import HandFollower
from stages.packets import Frame, HandBox, Image
from stages.sources import source_for
from stages.synthetic import ClipTruth, load_truth

MATCH = 0.25  # of a hand's size: a found hand is nearer to the truth than this


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    source = source_for(str(CLIP))
    source.open()
    found = [frame for frame in source.frames() if frame is not None]
    source.close()
    return found


@pytest.fixture(scope="module")
def truth() -> ClipTruth:
    return load_truth(CLIP_TRUTH)


@pytest.fixture(scope="module")
def both_in_view(truth: ClipTruth) -> range:
    """The longest run of frames in which both palms are in view."""
    ends = np.flatnonzero(~truth.palm_in_view.all(1)).tolist()
    starts, stops = [0, *(end + 1 for end in ends)], [*ends, len(truth.palm_in_view)]
    return max(map(range, starts, stops), key=len)


def find_all(follower: HandFollower, images: Sequence[Image], step: float = 1 / 30) -> list[list[HandBox]]:
    return [follower.find(image, (index + 1) * step) for index, image in enumerate(images)]


def of_hand(boxes: list[HandBox], joints: np.ndarray) -> list[HandBox]:
    return [box for box in boxes if joint_distance(box.joints_2d, joints) < MATCH]


def test_once_all_hands_are_followed_each_costs_one_look_and_palms_none(
    frames: list[Frame], truth: ClipTruth, both_in_view: range
) -> None:
    assert len(both_in_view) >= 30
    follower = HandFollower()
    follower.find(frames[both_in_view[0]].image, 1.0)
    looks, searches = follower.looks, follower.searches
    assert (looks, searches) == (4, 1)
    for count, index in enumerate(both_in_view[1:], 1):
        boxes = follower.find(frames[index].image, 1 + count / 30)
        assert all(len(of_hand(boxes, truth.joints_2d[index, hand])) == 1 for hand in (0, 1))
        assert (follower.looks - looks, follower.searches - searches) == (2 * count, 0)


def test_followers_that_began_at_different_times_soon_see_the_very_same(
    frames: list[Frame], both_in_view: range
) -> None:
    early, late = HandFollower(), HandFollower()
    found = []
    for count, index in enumerate(both_in_view[:40]):
        boxes = early.find(frames[index].image, index / 30)
        if count >= 8:
            found.append((boxes, late.find(frames[index].image, index / 30)))

    def apart(pair: tuple[list[HandBox], list[HandBox]]) -> float:
        first, second = (sorted(boxes, key=lambda box: box.side) for boxes in pair)
        return max(float(np.abs(a.joints_2d - b.joints_2d).max()) for a, b in zip(first, second, strict=True))

    assert apart(found[0]) > 0.1  # px: a first look is in another crop
    assert max(apart(pair) for pair in found[-10:]) == 0


def test_while_a_hand_is_missing_every_picture_is_searched_for_it(frames: list[Frame], both_in_view: range) -> None:
    follower = HandFollower(most=3)
    find_all(follower, [frames[index].image for index in both_in_view[:5]])
    assert follower.searches == 5


def test_a_hand_that_is_gone_is_let_go_and_one_that_comes_is_found(
    frames: list[Frame], truth: ClipTruth, both_in_view: range
) -> None:
    follower = HandFollower()
    picture, joints = frames[both_in_view[0]].image, truth.joints_2d[both_in_view[0]]
    without = picture.copy()
    (left, top), (right, bottom) = (joints[0].min(0) - 30).clip(0).astype(int), (joints[0].max(0) + 30).astype(int)
    without[top:bottom, left:right] = 90
    both, one, again = find_all(follower, [picture, without, picture])
    assert [len(of_hand(both, of_one)) for of_one in joints] == [1, 1]
    assert [len(of_hand(one, of_one)) for of_one in joints] == [0, 1]
    assert [len(of_hand(again, of_one)) for of_one in joints] == [1, 1]


def test_hands_that_leap_from_picture_to_picture_are_found_again(frames: list[Frame], truth: ClipTruth) -> None:
    """Six times the motion: every sixth frame, given as if they were thirty a second."""
    follower = HandFollower()
    wanted = found = 0
    for count, index in enumerate(range(0, len(frames), 6), 1):
        boxes = follower.find(frames[index].image, count / 30)
        for hand in (0, 1):
            if truth.palm_in_view[index, hand]:
                wanted += 1
                found += len(of_hand(boxes, truth.joints_2d[index, hand])) == 1
    assert wanted > 40
    assert found >= 0.97 * wanted


def test_a_mirrored_video_gives_the_mirrored_hands(frames: list[Frame]) -> None:
    images = [frame.image for frame in frames[:90]]
    here = find_all(HandFollower(), images)
    there = find_all(HandFollower(), [np.ascontiguousarray(image[:, ::-1]) for image in images])
    apart, in_space, alike = [], [], 0
    for boxes, mirrored in zip(here[3:], there[3:], strict=True):
        alike += len(boxes) == len(mirrored)
        for box in boxes:
            for other in mirrored:
                joints = other.joints_2d * (-1, 1) + (640, 0)
                if joint_distance(box.joints_2d, joints) < MATCH:
                    assert box.side != other.side
                    apart.append(np.linalg.norm(box.joints_2d - joints, axis=1).mean())
                    in_space.append(np.linalg.norm(box.joints_world - other.joints_world * (-1, 1, 1), axis=1).mean())
    assert alike >= 0.97 * len(here[3:])
    assert len(apart) > 100
    assert np.mean(apart) < 0.5, "px"
    assert np.mean(in_space) < 1e-3, "m"


def test_what_a_look_says_in_its_crop_is_what_is_given_in_the_picture(frames: list[Frame], both_in_view: range) -> None:
    boxes = find_all(HandFollower(maps=True), [frames[index].image for index in both_in_view[:3]])[-1]
    assert {box.side for box in boxes} == {"left", "right"}
    for box in boxes:
        look = box.look
        assert look is not None
        T = look.T_crop_picture
        np.testing.assert_allclose(box.joints_2d @ T[:, :2].T + T[:, 2], look.landmarks[:, :2], atol=1e-3)
        here, there = (np.linalg.norm(np.diff(each, axis=0), axis=1) for each in (box.joints_world, look.world))
        np.testing.assert_allclose(here, there, atol=1e-6)
        assert look.mirrored == (box.side == "left")
        assert (np.linalg.det(T[:, :2]) < 0) == look.mirrored
        assert look.right > 0.5, "shown as a right hand"
        assert box.score == pytest.approx(look.right)
        assert look.presence > 0.9
        assert [each.shape for each in look.maps] == [(40, 28, 28), (112, 14, 14), (192, 7, 7), (1152,)]
    plain = find_all(HandFollower(), [frames[both_in_view[0]].image])[0]
    assert all(box.look is not None and box.look.maps == () for box in plain)


def test_of_stills_each_is_looked_at_anew(frames: list[Frame], both_in_view: range) -> None:
    stills = HandFollower(follow=False)
    images = [frames[both_in_view[i]].image for i in (0, 20)]
    (first, second), (alone,) = find_all(stills, images), find_all(HandFollower(follow=False), images[1:])
    assert len(first) == 2
    for box, same in zip(second, alone, strict=True):
        np.testing.assert_array_equal(box.joints_2d, same.joints_2d)


def windows(frames: list[Frame], truth: ClipTruth, share: float) -> list[tuple[Image, np.ndarray]]:
    """Squares out of the clip around a hand, so small that they show `share` of its length; and its joints in them."""
    found = []
    for index in range(0, len(frames), 30):
        for hand in (0, 1):
            joints = truth.joints_2d[index, hand]
            least, most = joints.min(0), joints.max(0)
            middle, half = (least + most) / 2, share / 2 * (most - least).max()
            left, top = np.floor(middle - half).astype(int)
            side = int(2 * half)
            if truth.palm_in_view[index, hand] and min(left, top) >= 0 and left + side < 640 and top + side < 480:
                image = np.ascontiguousarray(frames[index].image[top : top + side, left : left + side])
                found.append((image, joints - (left, top)))
    return found


@pytest.mark.parametrize("share", [0.9, 0.7, 0.55])
def test_a_hand_that_fills_the_picture_is_found(frames: list[Frame], truth: ClipTruth, share: float) -> None:
    follower, pictures = HandFollower(follow=False), windows(frames, truth, share)
    right = 0
    for image, joints in pictures:
        boxes = follower.find(image, 0.0)
        right += len(boxes) == 1 and joint_distance(boxes[0].joints_2d, joints) < MATCH
    assert len(pictures) >= 8
    assert right >= 0.75 * len(pictures)


def test_of_a_video_without_hands_more_is_searched_now_and_then(frames: list[Frame]) -> None:
    follower = HandFollower()
    empty = np.zeros_like(frames[0].image)
    assert not any(find_all(follower, [empty] * 30))
    # Every picture as a whole, four times a second with black around it, eight times a part of it.
    assert 30 + 4 + 7 <= follower.searches <= 30 + 5 + 9


def far_away(frame: Frame, width: int) -> tuple[Image, float, np.ndarray]:
    """The frame, `width` px wide, in the corner of a larger picture; its scale, and its own corner there."""
    scale = width / frame.meta.width
    small = np.asarray(cv2.resize(frame.image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    picture = np.full((720, 1280, 3), 90, np.uint8)
    picture[-small.shape[0] :, -width:] = small
    return picture, scale, np.array([1280 - width, 720 - small.shape[0]])


@pytest.mark.parametrize("width", [220, 320])
def test_hands_that_are_far_away_are_found_in_a_still_picture(
    frames: list[Frame], truth: ClipTruth, both_in_view: range, width: int
) -> None:
    follower, seen, wrong = HandFollower(follow=False), 0, 0
    for index in both_in_view[::16]:
        picture, scale, corner = far_away(frames[index], width)
        boxes = follower.find(picture, 0.0)
        right = [of_hand(boxes, truth.joints_2d[index, hand] * scale + corner) for hand in (0, 1)]
        seen += sum(map(len, right))
        wrong += len(boxes) - sum(map(len, right))
        assert all(len(boxes) <= 1 for boxes in right)
    assert seen >= 0.9 * 2 * len(both_in_view[::16])
    assert wrong == 0


def test_hands_that_are_far_away_are_found_in_a_video_within_two_seconds_and_cost_no_more_then(
    frames: list[Frame], truth: ClipTruth, both_in_view: range
) -> None:
    follower = HandFollower()
    pictures = [far_away(frames[index], 260)[0] for index in both_in_view]
    still = [pictures[0]] * 60
    assert len(find_all(follower, still)[-1]) == 2
    searches = follower.searches
    assert [len(boxes) for boxes in map(follower.find, pictures, 3 + np.arange(len(pictures)) / 30)] == [2] * len(
        pictures
    )
    assert follower.searches == searches


def test_far_hands_are_found_in_a_video_of_one_picture_a_second_too(frames: list[Frame], both_in_view: range) -> None:
    follower = HandFollower()
    picture = far_away(frames[both_in_view[0]], 260)[0]
    assert [len(follower.find(picture, float(now))) for now in range(3)][-1] == 2


@pytest.mark.parametrize("light", [0.25, 0.1])
def test_hands_in_the_dark_are_found_where_they_are_in_the_light(
    frames: list[Frame], truth: ClipTruth, both_in_view: range, light: float
) -> None:
    follower, random, seen = HandFollower(follow=False), np.random.default_rng(3), 0
    for index in both_in_view[::16]:
        dark = frames[index].image * light + random.normal(0, 1, frames[index].image.shape)
        boxes = follower.find(dark.clip(0, 255).astype(np.uint8), 0.0)
        right = [of_hand(boxes, truth.joints_2d[index, hand]) for hand in (0, 1)]
        assert sum(map(len, right)) == len(boxes)
        seen += len(boxes)
    assert seen >= 0.9 * 2 * len(both_in_view[::16])


def test_no_hands_are_found_where_there_are_none(frames: list[Frame], truth: ClipTruth) -> None:
    follower, count = HandFollower(follow=False), 0
    for index in range(0, len(frames), 20):
        joints = truth.joints_2d[index].reshape(-1, 2)
        for left in range(0, 480, 80):
            for top in range(0, 320, 80):
                inside = (joints > (left - 20, top - 20)) & (joints < (left + 180, top + 180))
                if not inside.all(1).any():
                    count += 1
                    window = frames[index].image[top : top + 160, left : left + 160]
                    assert not follower.find(np.ascontiguousarray(window), 0.0)
    assert count >= 40
