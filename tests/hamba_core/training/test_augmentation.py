"""Changed crops and their truth stay together, whatever is changed."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings, strategies as st

from hamba_core.arrays import Array
from hamba_core.hand import Side, exp_so3, load_generic_hand
from hamba_core.training import (
    NO_AUGMENTATION,
    Augmentation,
    CropChange,
    PictureTruth,
    crop_matrix,
    cut_turned,
    draw_change,
    truth_in_crop,
)
from hamba_core.view import Intrinsics, cut_crops, square_around

CAMERA = Intrinsics(600.0, 600.0, 330.0, 235.0)
SIDES = st.sampled_from(("left", "right"))
CHANGES = st.builds(
    CropChange, st.floats(0.5, 1.5), st.floats(-3, 3), st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
)


def truth_of(seed: int, side: Side) -> PictureTruth:
    """A hand before the camera, off its axis."""
    random, model = np.random.default_rng(seed), load_generic_hand()
    orient, pose = exp_so3(random.normal(0, 1, 3)), exp_so3(random.normal(0, 0.2, (15, 3)))
    betas, place = random.normal(0, 1, 10), np.array([random.uniform(-0.2, 0.2), random.uniform(-0.2, 0.2), 0.5])
    joints = model.joints(orient, pose, betas, place, side)
    known = np.ones(21)
    return PictureTruth(side, CAMERA.project(joints), known, joints, known, orient, pose, betas, 1.0)


def in_camera_of_crop(T_crop_picture: Array, points: Array, side: Side) -> Array:
    """Points in 3D of a crop's camera -> pixels of the crop."""
    zoom = math.sqrt(abs(np.linalg.det(T_crop_picture[:, :2])))
    middle = T_crop_picture @ (CAMERA.cx, CAMERA.cy, 1)
    pixels: Array = points[:, :2] / points[:, 2:] * CAMERA.fx * zoom + middle
    return pixels


@given(st.integers(0, 50), SIDES, CHANGES)
@settings(max_examples=60, deadline=None)
def test_joints_in_3d_are_seen_where_the_joints_in_the_crop_are(seed: int, side: Side, change: CropChange) -> None:
    truth = truth_of(seed, side)
    T_crop_picture = crop_matrix(truth.box(), side, change)
    moved = truth_in_crop(truth, T_crop_picture)
    seen = in_camera_of_crop(T_crop_picture, moved.joints.numpy().astype(np.float64), side)
    np.testing.assert_allclose(seen / 256 - 0.5, moved.joints_2d.numpy(), atol=1e-4)
    farthest = moved.joints_2d.abs().amax(-1)
    assert (moved.visible[farthest < 0.4999] == 1).all()
    assert (moved.visible[farthest > 0.5001] == 0).all()


@given(st.integers(0, 50), SIDES, CHANGES)
@settings(max_examples=40, deadline=None)
def test_the_parameters_pose_a_right_hand_with_the_joints(seed: int, side: Side, change: CropChange) -> None:
    truth = truth_of(seed, side)
    moved = truth_in_crop(truth, crop_matrix(truth.box(), side, change))
    orient, pose, betas = (getattr(moved, name).double().numpy() for name in ("global_orient", "hand_pose", "betas"))
    posed = load_generic_hand().joints(orient, pose, betas, np.zeros(3))
    joints = moved.joints.double().numpy()
    np.testing.assert_allclose(posed - posed[0], joints - joints[0], atol=1e-6)
    assert np.linalg.det(orient) == pytest.approx(1, abs=1e-5)


@given(SIDES, CHANGES, st.integers(40, 600), st.integers(40, 440))
@settings(max_examples=40, deadline=None)
def test_what_is_at_a_point_of_the_picture_is_at_its_place_in_the_crop(
    side: Side, change: CropChange, x: int, y: int
) -> None:
    rows, columns = np.mgrid[:480, :640] + 0.5
    spot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
    T_crop_picture = crop_matrix((x - 60, y - 50, x + 60, y + 50), side, change)
    crop = cut_turned(torch.from_numpy(spot).expand(3, -1, -1), T_crop_picture).numpy()[0]
    at = T_crop_picture @ (x, y, 1)
    assume((at > 30).all() and (at < 226).all())
    rows, columns = np.mgrid[:256, :256]
    found = np.array([(crop * columns).sum(), (crop * rows).sum()]) / crop.sum()
    np.testing.assert_allclose(found, at, atol=0.3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(("reach", "apart"), [(40, 1e-6), (200, 0.01)])  # large crops are averaged in another way
def test_an_unchanged_crop_is_the_one_that_the_network_is_given_in_use(side: Side, reach: int, apart: float) -> None:
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.uniform(0, 255, (1, 3, 30, 40)))
    picture = torch.nn.functional.interpolate(coarse, scale_factor=16, mode="bicubic").clamp(0, 255)[0].round().byte()
    box = (320 - reach, 250 - reach, 320 + reach, 250 + reach)
    (expected,) = cut_crops(picture.permute(1, 2, 0), [square_around(box)], [side], (0, 0, 0), (1, 1, 1))
    found = cut_turned(picture, crop_matrix(box, side)) / 255
    assert float((found - expected).abs().mean()) < apart


def test_a_picture_that_the_crop_leaves_is_black_there_and_colours_are_multiplied() -> None:
    picture = torch.full((3, 100, 100), 100, dtype=torch.uint8)
    crop = cut_turned(picture, crop_matrix((80, 80, 120, 120), "right"), (0.5, 1.0, 3.0))
    assert crop.shape == (3, 256, 256)
    torch.testing.assert_close(crop[:, 20, 20], torch.tensor([50.0, 100.0, 255.0]))
    assert float(crop[:, 200:, 200:].abs().max()) == 0


def test_a_hand_of_which_the_wrist_is_not_known_has_no_joints_in_3d() -> None:
    truth = truth_of(0, "right")
    lost = np.ones(21)
    lost[[0, 5]] = 0
    moved = truth_in_crop(
        truth._replace(known=lost, known_2d=lost, parameters_known=0.0), crop_matrix(truth.box(), "right")
    )
    assert float(moved.joints_known.sum()) == 0
    assert float(moved.visible.sum()) == 19
    assert float(moved.parameters_known) == 0


def test_changes_are_as_large_and_as_frequent_as_they_are_said_to_be() -> None:
    random = np.random.default_rng(0)
    changes = [draw_change(Augmentation(), random) for _ in range(3000)]
    scales, turns = np.array([c.scale for c in changes]), np.array([c.turn for c in changes])
    shifts, gains = np.array([c.shift for c in changes]), np.array([c.gains for c in changes])
    assert (scales.min(), scales.max()) == pytest.approx((0.7, 1.3))
    assert np.abs(turns).max() == pytest.approx(math.radians(60))
    assert (turns != 0).mean() == pytest.approx(0.6, abs=0.03)
    assert (shifts != 0).all(1).mean() == pytest.approx(0.5, abs=0.03)
    assert np.abs(shifts).max() == pytest.approx(0.02)
    assert (gains.min(), gains.max()) == pytest.approx((0.8, 1.2), abs=0.01)
    assert draw_change(NO_AUGMENTATION, random) == CropChange()


def test_truncated_crops_cut_hands_off_and_keep_a_part() -> None:
    random = np.random.default_rng(0)
    seen = []
    for seed in range(40):
        truth = truth_of(seed, "right")
        change = draw_change(Augmentation(0, 0, 0, 0, 0, 0, truncation_rate=1), random)
        seen.append(float(truth_in_crop(truth, crop_matrix(truth.box(), "right", change)).visible.mean()))
    assert np.mean(seen) < 0.9
    assert min(seen) < 0.5
    assert np.median(seen) > 0.3
