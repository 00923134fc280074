"""A crop's view is a camera: what it says of a hand agrees with the picture's own."""

import numpy as np
from hypothesis import given, strategies as st

from hamba_core.hand import SIDES, Side, exp_so3, load_generic_hand
from hamba_core.view import Intrinsics
from stages.detection import CROP_SIDE, crop_around
from stages.reconstruction.small_hamba import CropView

CAMERA = Intrinsics(610, 590, 315, 245)
MODEL = load_generic_hand()


@given(seed=st.integers(0, 10_000), side=st.sampled_from(SIDES))
def test_a_hand_in_its_view(seed: int, side: Side) -> None:
    random = np.random.default_rng(seed)
    orient = exp_so3(random.normal(0, 1.5, 3))
    pose, betas = np.tile(np.eye(3), (15, 1, 1)), random.normal(0, 1, 10)
    translation = np.array([random.uniform(-0.2, 0.2), random.uniform(-0.15, 0.15), random.uniform(0.4, 1.5)])
    joints = MODEL.joints(orient, pose, betas, translation, side)
    joints_2d = CAMERA.project(joints)
    crop = crop_around(joints_2d, mirrored=side == "left")
    T = crop.T_crop_picture
    view = CropView.of(T, CAMERA, CROP_SIDE)

    seen = view.from_camera(joints)
    np.testing.assert_allclose(view.rays(joints_2d @ T[:, :2].T + T[:, 2]), seen[:, :2] / seen[:, 2:], atol=1e-9)
    np.testing.assert_allclose(view.to_camera(seen), joints, atol=1e-12)
    # In it both sides are right hands, with the parameters that packets carry.
    posed = MODEL.joints(view.R_view_hand @ orient, pose, betas, np.zeros(3))
    np.testing.assert_allclose(posed - posed[0], seen - seen[0], atol=1e-12)
    assert np.isclose(np.linalg.det(view.R_view_hand), 1)


def test_it_looks_straight_at_the_middle_of_the_crop_and_measures_in_half_crops() -> None:
    crop = crop_around(np.random.default_rng(0).uniform(300, 400, (21, 2)))
    view = CropView.of(crop.T_crop_picture, CAMERA, CROP_SIDE)
    np.testing.assert_allclose(view.rays(np.full((1, 2), CROP_SIDE / 2)), 0, atol=1e-12)
    right = view.rays(np.array([CROP_SIDE, CROP_SIDE / 2]))
    assert 0.9 < right[0] * view.focal_length < 1.1
    assert abs(right[1]) < 0.02
