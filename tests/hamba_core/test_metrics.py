"""Errors of points: checked against independent implementations, and by what theory says."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.linalg import orthogonal_procrustes

from hamba_core.hand import exp_so3
from hamba_core.metrics import (
    distances,
    f_scores,
    mirrored,
    mpjpe,
    nearest_distances,
    pa_mpjpe,
    pck_curve,
    procrustes,
    procrustes_aligned,
    root_aligned,
    scale_and_root_aligned,
)

seeds = st.integers(0, 10_000)


def _points(seed: int, count: int = 21) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.05, (count, 3))


@given(seeds, st.floats(0.01, 100))
def test_turning_scaling_and_moving_is_aligned_away(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    truth = _points(seed)
    moved = scale * truth @ exp_so3(random.normal(0, 2, 3)).T + random.normal(0, 1, 3)
    assert pa_mpjpe(moved, truth) < 1e-12
    assert pa_mpjpe(moved, truth, reflection=True) < 1e-12
    assert not mirrored(moved, truth)


def test_a_mirrored_hand_is_not_aligned_away_unless_reflections_are_allowed() -> None:
    truth = _points(1)
    other_hand = truth * (-1, 1, 1)
    assert pa_mpjpe(other_hand, truth) > 0.01
    assert pa_mpjpe(other_hand, truth, reflection=True) < 1e-12
    assert mirrored(other_hand, truth)


def test_no_other_similarity_comes_nearer() -> None:
    random = np.random.default_rng(2)
    truth = _points(3)
    aligned = procrustes_aligned(truth + random.normal(0, 0.01, truth.shape), truth)
    best = ((aligned - truth) ** 2).sum()
    for _ in range(50):
        nudged = (1 + random.normal(0, 0.01)) * aligned @ exp_so3(random.normal(0, 0.01, 3)).T
        assert ((nudged + random.normal(0, 1e-3, 3) - truth) ** 2).sum() > best


@given(seeds)
def test_alignment_with_reflections_is_scipys_orthogonal_procrustes(seed: int) -> None:
    random = np.random.default_rng(seed)
    points, truth = random.normal(0, 0.05, (2, 30, 3))
    own, true = points - points.mean(0), truth - truth.mean(0)
    own_size, true_size = np.linalg.norm(own), np.linalg.norm(true)
    turn, overlap = orthogonal_procrustes(own / own_size, true / true_size)
    expected = own / own_size @ turn * overlap * true_size + truth.mean(0)
    assert procrustes_aligned(points, truth, reflection=True) == pytest.approx(expected, abs=1e-12)


def test_hands_are_aligned_one_by_one() -> None:
    truth = np.stack([_points(seed) for seed in range(4)])
    joints = truth + np.random.default_rng(5).normal(0, 0.01, truth.shape)
    assert pa_mpjpe(joints, truth) == pytest.approx([pa_mpjpe(j, t) for j, t in zip(joints, truth, strict=True)])


def test_a_similarity_found_from_joints_moves_other_points_along() -> None:
    joints, vertices = _points(1), _points(2, 100)
    turn, move = exp_so3(np.array([0.3, -1.0, 0.4])), np.array([0.1, 0.2, 0.3])
    aligned = procrustes(2 * joints @ turn.T + move, joints).apply(2 * vertices @ turn.T + move)
    assert aligned == pytest.approx(vertices, abs=1e-12)


def test_joints_in_one_point_are_aligned_to_the_centre() -> None:
    truth = _points(6)
    centre = truth.mean(0)
    assert procrustes_aligned(np.ones((21, 3)), truth) == pytest.approx(np.broadcast_to(centre, (21, 3)))


def test_mpjpe_is_the_mean_distance() -> None:
    truth = _points(7)
    assert mpjpe(truth + np.array([0.003, 0, 0.004]), truth) == pytest.approx(0.005)


def test_after_root_alignment_the_wrist_is_right_and_shape_is_kept() -> None:
    truth, joints = _points(8), _points(9)
    aligned = root_aligned(joints, joints, truth)
    assert aligned[0] == pytest.approx(truth[0])
    assert np.diff(aligned, axis=0) == pytest.approx(np.diff(joints, axis=0))


@given(seeds, st.floats(0.1, 10))
def test_scale_and_place_but_not_rotation_are_aligned_away_by_ho3ds_second_measure(seed: int, scale: float) -> None:
    truth = _points(seed)
    assert distances(scale_and_root_aligned(scale * truth + 1, truth), truth).max() < 1e-12
    assert mpjpe(scale_and_root_aligned(truth @ exp_so3(np.array([0.5, 0, 0])).T, truth), truth) > 1e-3


def test_joints_in_one_point_have_no_scale() -> None:
    truth = _points(6)
    assert scale_and_root_aligned(np.ones((21, 3)), truth) == pytest.approx(np.broadcast_to(truth[0], (21, 3)))


def test_a_point_exactly_at_a_threshold_is_correct() -> None:
    curve = pck_curve(np.array([[0.025]]), most=0.05, steps=3)
    assert curve.share.tolist() == [0, 1, 1]
    assert curve.auc == pytest.approx(0.75)


def test_perfect_points_have_the_whole_area_and_far_ones_none() -> None:
    assert pck_curve(np.zeros((4, 21))).auc == pytest.approx(1)
    assert pck_curve(np.full((4, 21), 0.06)).auc == 0


@given(seeds)
def test_the_area_is_the_mean_over_the_points(seed: int) -> None:
    """Written anew, a point and a threshold at a time."""
    errors = np.random.default_rng(seed).uniform(0, 0.08, (7, 5))
    curve = pck_curve(errors, steps=20)
    thresholds = np.linspace(0, 0.05, 20)
    areas = []
    for point in errors.T:
        shares = [sum(error <= threshold for error in point) / 7 for threshold in thresholds]
        areas.append(sum((a + b) / 2 * (0.05 / 19) for a, b in pairwise(shares)) / 0.05)
    assert curve.auc == pytest.approx(np.mean(areas))


def test_a_score_of_uniform_noise_is_what_theory_says() -> None:
    """Errors uniform up to the last threshold: half of the area."""
    errors = np.random.default_rng(0).uniform(0, 0.05, (20_000, 3))
    assert pck_curve(errors).auc == pytest.approx(0.5, abs=0.005)


def test_nearest_distances_are_open3ds() -> None:
    o3d = pytest.importorskip("open3d")
    points, others = _points(10, 300), _points(11, 200)
    clouds = [o3d.geometry.PointCloud(o3d.utility.Vector3dVector(p)) for p in (points, others)]
    expected = np.asarray(clouds[0].compute_point_cloud_distance(clouds[1]))
    assert nearest_distances(points, others) == pytest.approx(expected, abs=1e-12)


def test_f_scores_count_both_ways_strictly() -> None:
    truth = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    own = np.array([[0.25, 0, 0], [1.5, 0, 0]])
    # One of two own ones is nearer than 0.5 (the other is exactly there) and one of four true ones; then all and three.
    assert f_scores(own, truth, (0.5, 0.75)) == pytest.approx([2 * 0.5 * 0.25 / 0.75, 2 * 1 * 0.75 / 1.75])


def test_a_perfect_mesh_scores_one_and_one_far_away_none() -> None:
    mesh = _points(12, 778)
    assert f_scores(mesh, mesh).tolist() == [1, 1]
    assert f_scores(mesh + 10, mesh).tolist() == [0, 0]
