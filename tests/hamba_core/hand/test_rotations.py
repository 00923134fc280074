"""Rotations obey the group's laws at every angle, at 0 and at pi."""

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.spatial.transform import Rotation

from hamba_core.arrays import Array
from hamba_core.hand.rotations import (
    angle_between,
    continuous_euler_zxy,
    euler_zxy,
    exp_so3,
    hat,
    log_so3,
    nearest_rotation,
    slerp,
    to_quaternion,
)

numbers = st.floats(-1, 1, allow_nan=False)
axes = st.tuples(numbers, numbers, numbers).map(np.array).filter(lambda v: np.linalg.norm(v) > 0.1)
axes = axes.map(lambda v: v / np.linalg.norm(v))
# Small angles, angles near pi and everything between.
angles = st.one_of(
    st.sampled_from([0.0, 1e-12, 1e-9, 1e-5, 0.99e-4, 1.01e-4, np.pi - 1e-9, np.pi - 1e-5]), st.floats(0, np.pi - 1e-9)
)
vectors = st.tuples(axes, angles).map(lambda pair: pair[0] * pair[1])
rotations = vectors.map(exp_so3)


@given(vectors)
def test_exp_gives_the_rotation_that_scipy_gives(vector: Array) -> None:
    np.testing.assert_allclose(exp_so3(vector), Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


@given(vectors)
def test_log_undoes_exp(vector: Array) -> None:
    if np.linalg.norm(vector) < np.pi - 1e-6:
        np.testing.assert_allclose(log_so3(exp_so3(vector)), vector, atol=1e-9, rtol=1e-9)


@given(vectors)
def test_exp_undoes_log_also_at_pi(vector: Array) -> None:
    matrix = exp_so3(vector)
    np.testing.assert_allclose(exp_so3(log_so3(matrix)), matrix, atol=1e-9)


@given(axes)
def test_log_of_a_half_turn_is_its_axis_times_pi(axis: Array) -> None:
    vector = log_so3(2 * np.outer(axis, axis) - np.eye(3))
    assert np.linalg.norm(vector) == pytest.approx(np.pi, abs=1e-9)
    assert abs(vector @ axis) == pytest.approx(np.pi, abs=1e-9)


@pytest.mark.parametrize("axis", np.eye(3))
def test_log_of_a_half_turn_about_a_coordinate_axis_is_exact(axis: Array) -> None:
    np.testing.assert_allclose(np.abs(log_so3(2 * np.outer(axis, axis) - np.eye(3))), np.pi * axis, atol=1e-12)


def test_log_keeps_tiny_rotations() -> None:
    np.testing.assert_allclose(log_so3(exp_so3([0, 3e-12, 0])), [0, 3e-12, 0], rtol=1e-9)
    np.testing.assert_array_equal(log_so3(np.eye(3)), 0)


@given(rotations, rotations)
def test_angle_between_is_symmetric_and_invariant_under_a_common_rotation(first: Array, second: Array) -> None:
    angle = angle_between(first, second)
    assert 0 <= angle <= np.pi + 1e-9
    assert angle_between(second, first) == pytest.approx(angle, abs=1e-7)
    common = exp_so3([0.3, -1.2, 0.7])
    assert angle_between(common @ first, common @ second) == pytest.approx(angle, abs=1e-7)


@given(rotations, rotations, st.floats(0, 1))
def test_slerp_starts_at_the_first_ends_at_the_second_and_turns_at_a_constant_rate(
    first: Array, second: Array, fraction: float
) -> None:
    np.testing.assert_allclose(slerp(first, second, 0), first, atol=1e-9)
    np.testing.assert_allclose(slerp(first, second, 1), second, atol=1e-7)
    between = slerp(first, second, fraction)
    assert angle_between(first, between) == pytest.approx(fraction * angle_between(first, second), abs=1e-7)


@given(rotations, st.integers(0, 2**32 - 1))
def test_nearest_rotation_keeps_rotations_and_mends_what_is_nearly_one(rotation: Array, seed: int) -> None:
    np.testing.assert_allclose(nearest_rotation(rotation), rotation, atol=1e-9)
    mended = nearest_rotation(rotation + np.random.default_rng(seed).normal(scale=1e-3, size=(3, 3)))
    np.testing.assert_allclose(mended @ mended.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(mended) == pytest.approx(1)
    assert angle_between(mended, rotation) < 0.01


def test_nearest_rotation_never_gives_a_reflection() -> None:
    assert np.linalg.det(nearest_rotation(np.diag([1.0, 1.0, -0.1]))) == pytest.approx(1)


@given(vectors, vectors)
def test_hat_is_the_cross_product(first: Array, second: Array) -> None:
    np.testing.assert_allclose(hat(first) @ second, np.cross(first, second), atol=1e-12)


def test_leading_dimensions_are_kept_and_broadcast() -> None:
    batch = np.random.default_rng(0).normal(size=(4, 15, 3))
    matrices = exp_so3(batch)
    assert matrices.shape == (4, 15, 3, 3)
    assert log_so3(matrices).shape == (4, 15, 3)
    assert angle_between(matrices, np.eye(3)).shape == (4, 15)
    assert slerp(np.eye(3), matrices, np.linspace(0, 1, 15)).shape == (4, 15, 3, 3)
    assert nearest_rotation(matrices).shape == (4, 15, 3, 3)
    np.testing.assert_allclose(matrices[2, 3], exp_so3(batch[2, 3]), atol=1e-15)


def test_empty_batches_stay_empty() -> None:
    assert log_so3(exp_so3(np.zeros((0, 3)))).shape == (0, 3)


@given(rotations)
def test_a_quaternion_is_the_one_that_scipy_reads_with_the_shorter_way_round(matrix: Array) -> None:
    quaternion = to_quaternion(matrix)
    np.testing.assert_allclose(Rotation.from_quat(quaternion).as_matrix(), matrix, atol=1e-9)
    assert quaternion[3] >= 0
    assert quaternion @ quaternion == pytest.approx(1, abs=1e-12)


@given(rotations)
def test_euler_angles_are_turns_about_z_x_and_y_one_after_the_other(matrix: Array) -> None:
    angles = euler_zxy(matrix)
    np.testing.assert_allclose(Rotation.from_euler("ZXY", angles).as_matrix(), matrix, atol=1e-9)
    assert abs(angles[1]) <= np.pi / 2


@given(st.floats(-np.pi, np.pi), st.sampled_from([-1, 1]), st.floats(-1e-7, 1e-7), st.floats(-np.pi, np.pi))
def test_euler_angles_hold_where_two_axes_coincide(a: float, sign: int, near: float, c: float) -> None:
    matrix = Rotation.from_euler("ZXY", [a, sign * np.pi / 2 + near, c]).as_matrix()
    np.testing.assert_allclose(Rotation.from_euler("ZXY", euler_zxy(matrix)).as_matrix(), matrix, atol=1e-7)


@given(st.lists(rotations, min_size=1, max_size=6))
def test_continuous_euler_angles_are_the_same_rotations(matrices: list[Array]) -> None:
    angles = continuous_euler_zxy(np.stack(matrices))
    np.testing.assert_allclose(Rotation.from_euler("ZXY", angles).as_matrix(), matrices, atol=1e-7)


@given(st.lists(rotations, min_size=2, max_size=6), vectors)
def test_no_angles_of_a_rotation_are_nearer_to_the_last_ones(matrices: list[Array], before: Array) -> None:
    angles = continuous_euler_zxy(np.stack(matrices), before)
    for last, now in zip([before, *angles], angles, strict=False):
        a, b, c = now
        twin = np.array([a + np.pi, np.pi - b, c + np.pi])
        twin = last + np.remainder(twin - last + np.pi, 2 * np.pi) - np.pi
        assert np.linalg.norm(now - last) <= np.linalg.norm(twin - last) + 1e-9
        assert np.abs(now - last).max() <= np.pi + 1e-9


def test_a_turn_through_the_pole_does_not_flip() -> None:
    """Ten degrees a frame, passing a degree beside where two axes coincide: the plain angles jump by half a turn."""
    tilt, roll = np.radians(np.arange(40, 141, 10.0)), np.radians(1.0)
    matrices = Rotation.from_euler("XY", np.column_stack([tilt, np.full_like(tilt, roll)])).as_matrix()
    plain = np.abs(np.diff(euler_zxy(matrices), axis=0)).max()
    steps = np.abs(np.diff(continuous_euler_zxy(matrices), axis=0)).max()
    assert np.degrees(plain) > 150
    assert np.degrees(steps) < 11


def test_angles_at_the_pole_stay_as_they_were() -> None:
    matrices = Rotation.from_euler("ZXY", [[0.3, 1.2, 0.4], [0.3, np.pi / 2, 0.4], [0.3, 1.9, 0.4]]).as_matrix()
    angles = continuous_euler_zxy(matrices)
    np.testing.assert_allclose(angles[:, [0, 2]], [[0.3, 0.4]] * 3, atol=1e-6)
