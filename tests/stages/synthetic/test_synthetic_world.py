"""Pictures and truth of the test pattern agree."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from hamba_core.hand import JOINT_NAMES
from stages.packets import Image
from stages.synthetic import HandTruth, SyntheticSettings
from stages.synthetic.crops.figure import hand_model
from stages.synthetic.world import World

TIMES = (0.3, 1.7, 4.4, 5.1, 6.9)


def on_green(world: World, time: float) -> Image:
    """The picture with the place taken away: whatever is not plain green is hand, arm or sleeve."""
    renderer = world._renderer
    kept = renderer._scenery
    try:
        green = np.zeros_like(kept.background) + np.array([0, 0.6, 0], np.float32)
        renderer._scenery = replace(kept, background=green, ground=None)
        return world.picture(time)
    finally:
        renderer._scenery = kept


def hand_mask(world: World, time: float) -> Image:
    """255 where a picture (height, width) shows a hand, an arm or a sleeve."""
    red, green, _ = np.moveaxis(on_green(world, time).astype(int), -1, 0)
    return np.asarray(255 * ((red > 45) | (green < 140)), np.uint8)


def test_the_same_settings_give_the_same_bytes() -> None:
    first, again = (World(SyntheticSettings(seed=4, width=96, height=64)) for _ in range(2))
    other = World(SyntheticSettings(seed=5, width=96, height=64))
    again.picture(3.0)
    np.testing.assert_array_equal(first.picture(1.0), again.picture(1.0))
    assert not np.array_equal(first.picture(1.0), other.picture(1.0))


def test_frames_differ_by_grain_even_where_nothing_moves(room: World) -> None:
    a, b = room.picture(0.0)[:40].astype(int), room.picture(1 / 30)[:40].astype(int)
    assert 0.3 < np.abs(a - b).mean() < 5


@pytest.mark.parametrize(("width", "height"), [(16, 16), (57, 33), (90, 400)])
def test_any_size_can_be_drawn(width: int, height: int) -> None:
    world = World(SyntheticSettings(width=width, height=height, hands=1))
    picture = world.picture(0.5)
    assert picture.shape == (height, width, 3)
    assert picture.dtype == np.uint8
    (hand,) = world.truth(0.5)
    assert hand.visibility > 0.95


@pytest.mark.parametrize("time", TIMES)
def test_points_follow_from_the_parameters(desk: World, time: float) -> None:
    for hand in desk.truth(time):
        posed = desk.model.pose(hand.global_orient, hand.hand_pose, hand.betas, hand.translation, hand.side)
        np.testing.assert_allclose(hand.vertices, posed.vertices, atol=1e-12)
        np.testing.assert_allclose(hand.joints, posed.joints, atol=1e-12)
        np.testing.assert_allclose(hand.joints_2d, desk.camera.project(hand.joints), atol=1e-9)


@pytest.mark.parametrize("time", TIMES)
def test_hand_pixels_cover_the_projected_mesh(room: World, time: float) -> None:
    mask = hand_mask(room, time)
    projected = np.zeros_like(mask)
    for hand in room.truth(time):
        corners = room.camera.project(hand.vertices)[room.model.faces]
        for triangle in np.round(corners * 16 - 8).astype(np.int32):
            cv2.fillConvexPoly(projected, triangle, 255, shift=4)
    inner = cv2.erode(projected, np.ones((3, 3), np.uint8)) > 0
    assert (mask[inner] > 0).mean() > 0.995
    above = slice(0, int(min(h.joints_2d[0, 1] for h in room.truth(time))))  # wrists and sleeves lie below
    outer = cv2.dilate(projected, np.ones((7, 7), np.uint8)) > 0
    assert (outer[above] | (mask[above] == 0)).mean() > 0.995


@pytest.mark.parametrize("time", TIMES)
def test_visible_joints_lie_on_hand_pixels(room: World, time: float) -> None:
    mask = cv2.dilate(hand_mask(room, time), np.ones((3, 3), np.uint8))
    for hand in room.truth(time):
        assert hand.visible_joints.sum() >= 10
        x, y = np.floor(hand.joints_2d[hand.visible_joints]).astype(int).T
        assert (mask[y, x] > 0).all()


def by_distance(hands: tuple[HandTruth, ...]) -> tuple[HandTruth, HandTruth]:
    near, far = sorted(hands, key=lambda hand: float(hand.joints[:, 2].mean()))
    return near, far


def test_where_hands_cross_the_far_one_is_covered_in_part(room: World) -> None:
    pairs = [by_distance(room.truth(time)) for time in np.arange(4.2, 4.8, 0.05)]
    near, far = min(pairs, key=lambda pair: pair[1].visibility)
    assert far.visibility < 0.97
    assert far.visibility < near.visibility
    hidden = ~far.visible_joints
    assert hidden.any()
    # What hides a joint of the far hand is nearer: the near hand's mesh lies over it in the picture.
    over = np.zeros((240, 320), np.uint8)
    for triangle in np.round(room.camera.project(near.vertices)[room.model.faces]).astype(np.int32):
        cv2.fillConvexPoly(over, triangle, 255)
    x, y = np.floor(far.joints_2d[hidden]).astype(int).T
    assert (cv2.dilate(over, np.ones((5, 5), np.uint8))[y, x] > 0).any()


def test_a_hand_out_of_the_picture_is_there_and_not_visible(desk: World) -> None:
    seen = [desk.truth(time) for time in np.arange(6, 10, 0.2)]
    assert {len(hands) for hands in seen} == {2}
    away = [hand for hands in seen for hand in hands if (desk.camera.project(hand.vertices)[:, 1] > 240).all()]
    assert away
    assert all(hand.visibility == 0 and not hand.visible_joints.any() and not hand.palm_in_view for hand in away)


@pytest.mark.parametrize("world", ["desk", "room"])
def test_a_palm_in_view_shows_its_fingers_in_the_order_of_its_side(world: str, request: pytest.FixtureRequest) -> None:
    hands = [hand for time in np.arange(0, 10, 0.4) for hand in request.getfixturevalue(world).truth(time)]
    index, little = (JOINT_NAMES.index(f"{finger}_1") for finger in ("index", "little"))
    for hand in hands:
        to_index, to_little = (hand.joints_2d[joint] - hand.joints_2d[0] for joint in (index, little))
        turn = np.linalg.det([to_index, to_little]) * (-1 if hand.side == "right" else 1)
        assert turn > 0 or not hand.palm_in_view
    assert np.mean([hand.palm_in_view for hand in hands]) > 0.7
    assert not all(hand.palm_in_view for hand in hands)


def test_people_may_have_hands_of_another_mesh() -> None:
    second = hand_model("second")
    world = World(SyntheticSettings(seed=4, width=160, height=120), second)
    usual = World(SyntheticSettings(seed=4, width=160, height=120))
    for hand, other in zip(world.truth(1.0), usual.truth(1.0), strict=True):
        assert hand.vertices.shape == second.v_template.shape
        np.testing.assert_allclose(hand.hand_pose, other.hand_pose, atol=0.5)  # the same acts
        assert np.linalg.norm(hand.joints - other.joints, axis=1).mean() < 0.03
    assert world.picture(1.0).shape == (120, 160, 3)
    assert not np.array_equal(world.picture(1.0), usual.picture(1.0))
