"""Crops hold the hand upright and where it should be, whichever way it points, and mirror as the picture does."""

from math import cos, sin

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st
from numpy.typing import NDArray

from stages.detection.hand_crop import HandCrop, crop_around, upwards
from stages.detection.hand_network import CROP_SIDE
from stages.packets import Image

UPRIGHT = np.array(
    [(0, 0)]
    + [(-30 - 12 * i, -20 - 20 * i) for i in range(4)]
    + [(x, y) for x in (-20, 0, 20, 38) for y in (-90, -120, -140, -160)],
    float,
)
"""A hand of 160 px with its fingers up, joints (21, 2) about its wrist."""

places = st.floats(-500, 2000)
angles = st.floats(-3.1, 3.1)
sizes = st.floats(0.2, 5)


def hand(x: float, y: float, size: float, angle: float) -> NDArray[np.float64]:
    c, s = cos(angle), sin(angle)
    turned: NDArray[np.float64] = size * UPRIGHT @ np.array([[c, s], [-s, c]]) + (x, y)
    return turned


@given(places, places, sizes, angles, st.booleans())
def test_on_the_grid_a_crop_is_all_but_the_same_and_stays(
    x: float, y: float, size: float, angle: float, mirrored: bool
) -> None:
    crop = crop_around(hand(x, y, size, angle), mirrored=mirrored)
    snapped = crop.on_grid()
    corners = np.array([(0, 0), (CROP_SIDE, 0), (CROP_SIDE, CROP_SIDE), (0, CROP_SIDE)], float)
    assert np.abs(snapped.to_picture(corners) - crop.to_picture(corners)).max() < 0.02 * crop.side
    np.testing.assert_allclose(snapped.on_grid().T_crop_picture, snapped.T_crop_picture, rtol=1e-9, atol=1e-6)
    assert snapped.mirrored == mirrored


@given(places, places, sizes, angles, st.booleans())
def test_the_hand_points_up_in_its_crop_wherever_it_points_in_the_picture(
    x: float, y: float, size: float, angle: float, mirrored: bool
) -> None:
    crop = crop_around(hand(x, y, size, angle), mirrored=mirrored)
    T = crop.T_crop_picture
    seen = hand(x, y, size, angle) @ T[:, :2].T + T[:, 2]
    expected = crop_around(UPRIGHT).T_crop_picture
    upright = UPRIGHT @ expected[:, :2].T + expected[:, 2]
    if mirrored:
        upright[:, 0] = CROP_SIDE - upright[:, 0]
    np.testing.assert_allclose(seen, upright, atol=1e-6)
    assert upwards(seen)[1] < 0
    assert seen.min() > 0
    assert seen.max() < CROP_SIDE
    np.testing.assert_allclose(crop.to_picture(seen), hand(x, y, size, angle), atol=1e-6)


@given(places, places, sizes, angles)
def test_a_mirrored_hand_has_the_mirrored_crop(x: float, y: float, size: float, angle: float) -> None:
    joints = hand(x, y, size, angle)
    there = crop_around(joints * (-1, 1) + (640, 0))
    here = crop_around(joints, mirrored=True)
    T, B = here.T_crop_picture, there.T_crop_picture
    np.testing.assert_allclose(joints @ T[:, :2].T + T[:, 2], (joints * (-1, 1) + (640, 0)) @ B[:, :2].T + B[:, 2])


@given(places, places, sizes, angles, st.booleans())
def test_the_crops_axes_are_turned_back_as_its_pixels_are(
    x: float, y: float, side: float, angle: float, mirrored: bool
) -> None:
    crop = HandCrop(x, y, 100 * side, angle, mirrored)
    vectors = np.random.default_rng(1).normal(size=(21, 3))
    pixels = crop.to_picture(vectors[:, :2]) - crop.to_picture(np.zeros(2))
    turned = crop.axes_to_picture(vectors)
    np.testing.assert_allclose(turned[:, :2] * crop.side / CROP_SIDE, pixels, atol=1e-6)
    np.testing.assert_array_equal(turned[:, 2], vectors[:, 2])


def blob(x: float, y: float, width: float) -> Image:
    """A picture of 640 x 480 with a bright round spot, its centre at (x, y) from the picture's corner."""
    rows, columns = np.mgrid[:480, :640] + 0.5
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * width**2))
    return np.repeat(spot[..., None], 3, 2).astype(np.uint8)


@pytest.mark.parametrize("side", [90.0, 224.0, 460.0, 1300.0])
@pytest.mark.parametrize("mirrored", [False, True])
def test_what_is_in_the_picture_is_at_its_place_in_the_crop(side: float, mirrored: bool) -> None:
    crop = HandCrop(300, 250, side, 0.7, mirrored)
    cut = crop.cut(blob(321.5, 240.25, side / 40))[..., 0].astype(float)
    rows, columns = np.mgrid[:CROP_SIDE, :CROP_SIDE] + 0.5
    centre = np.array([(cut * columns).sum(), (cut * rows).sum()]) / cut.sum()
    T = crop.T_crop_picture
    np.testing.assert_allclose(centre, T[:, :2] @ (321.5, 240.25) + T[:, 2], atol=0.1)


@pytest.mark.parametrize("angle", [0.0, 0.4])
def test_a_mirrored_picture_gives_the_flipped_crop(angle: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 2).astype(np.uint8)
    joints = hand(330, 300, 1.2, angle)
    here = crop_around(joints).cut(image)
    there = crop_around(joints * (-1, 1) + (640, 0), mirrored=True).cut(np.ascontiguousarray(image[:, ::-1]))
    np.testing.assert_allclose(here.astype(int), there.astype(int), atol=2)


def test_joints_in_one_point_have_a_crop() -> None:
    crop = crop_around(np.full((21, 2), 7.0))
    assert (crop.x, crop.y, crop.angle) == (7.0, 7.0, 0.0)
    assert crop.side >= 1
    assert crop.cut(np.zeros((10, 10, 3), np.uint8)).shape == (CROP_SIDE, CROP_SIDE, 3)
