"""Left hands are right hands in a mirror: points and rotations go through it together, there and back."""

import numpy as np
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hamba_core.hand import Side, exp_so3, mirrored_points, mirrored_rotations

FLOATS = st.floats(-3, 3)
SIDES = st.sampled_from(["left", "right"])


@given(arrays(np.float64, (4, 3), elements=FLOATS), arrays(np.float64, (3,), elements=FLOATS), SIDES)
def test_a_mirrored_rotation_turns_mirrored_points(
    points: NDArray[np.float64], vector: NDArray[np.float64], side: Side
) -> None:
    R = exp_so3(vector)
    turned = mirrored_points(points, side) @ mirrored_rotations(R, side).T
    np.testing.assert_allclose(turned, mirrored_points(points @ R.T, side), atol=1e-9)


@given(arrays(np.float64, (2, 3), elements=FLOATS), arrays(np.float64, (3,), elements=FLOATS), SIDES)
def test_a_mirror_is_its_own_way_back(points: NDArray[np.float64], vector: NDArray[np.float64], side: Side) -> None:
    R = exp_so3(vector)
    np.testing.assert_array_equal(mirrored_points(mirrored_points(points, side), side), points)
    np.testing.assert_array_equal(mirrored_rotations(mirrored_rotations(R, side), side), R)
    assert np.isclose(np.linalg.det(mirrored_rotations(R, side)), 1)


def test_only_left_hands_are_mirrored() -> None:
    point = np.array([0.1, 0.2, 0.3], np.float32)
    np.testing.assert_array_equal(mirrored_points(point, "right"), point)
    np.testing.assert_array_equal(mirrored_points(point, "left"), point * np.array([-1, 1, 1], np.float32))
