"""The pinhole camera."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.errors import ConfigurationError
from hamba_core.view.camera import Intrinsics

focal = st.floats(50, 5000)
pixel = st.floats(-1000, 3000)
depth = st.floats(0.05, 50)


@given(focal, focal, pixel, pixel, pixel, pixel, depth)
def test_projecting_a_point_on_a_pixels_ray_gives_the_pixel(
    fx: float, fy: float, cx: float, cy: float, u: float, v: float, z: float
) -> None:
    camera = Intrinsics(fx, fy, cx, cy)
    point = camera.rays(np.array([u, v])) * z
    assert point[2] == pytest.approx(z)
    np.testing.assert_allclose(camera.project(point), [u, v], atol=1e-6, rtol=1e-9)


@given(focal, pixel, depth)
def test_projection_is_the_matrix_applied_to_the_point(f: float, c: float, z: float) -> None:
    camera = Intrinsics(f, f, c, c)
    point = np.array([0.3, -0.2, z])
    homogeneous = camera.matrix @ point
    np.testing.assert_allclose(camera.project(point), homogeneous[:2] / homogeneous[2])


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 640), (1, 1)])
def test_a_field_of_view_spans_the_longer_side(width: int, height: int) -> None:
    camera = Intrinsics.from_field_of_view(np.pi / 2, width, height)
    assert camera.fx == camera.fy == pytest.approx(max(width, height) / 2)
    assert (camera.cx, camera.cy) == (width / 2, height / 2)


def test_an_estimate_says_that_it_is_one() -> None:
    assert Intrinsics.estimate(640, 480).estimated
    assert not Intrinsics.from_field_of_view(1.0, 640, 480).estimated


@given(st.floats(0.1, 4), st.floats(0.1, 4), depth)
def test_scaling_the_camera_scales_the_projection(sx: float, sy: float, z: float) -> None:
    camera, point = Intrinsics(600, 610, 320, 240), np.array([0.1, 0.2, z])
    np.testing.assert_allclose(camera.scaled(sx, sy).project(point), camera.project(point) * (sx, sy))


@pytest.mark.parametrize("values", [(0, 1, 0, 0), (1, -1, 0, 0), (float("nan"), 1, 0, 0), (1, 1, float("inf"), 0)])
def test_impossible_intrinsics_are_refused(values: tuple[float, float, float, float]) -> None:
    with pytest.raises(ConfigurationError, match="expected finite numbers with fx, fy > 0"):
        Intrinsics(*values)


@pytest.mark.parametrize("angle", [0.0, np.pi, -1.0])
def test_an_impossible_field_of_view_is_refused(angle: float) -> None:
    with pytest.raises(ConfigurationError, match="between 0 and 180 degrees"):
        Intrinsics.from_field_of_view(angle, 640, 480)
