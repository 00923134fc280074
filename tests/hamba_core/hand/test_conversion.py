"""Hands of one model as hands of another: on the same surface, bent alike."""

import numpy as np
import pytest

from hamba_core.arrays import Array
from hamba_core.hand import ModelConversion, exp_so3, load_generic_hand
from hamba_core.hand.conversion.point_fit import Pose, fit_step, surface_points
from hamba_core.hand.conversion.surfaces import nearest_places
from hamba_core.hand.rotations import angle_between
from tests.hamba_core.hand.made_up_hand import made_up_hand

SHAPE = np.array([1.0, -1.0, 0.5, 0.0, 0.3, -0.5, 0.2, 0.4, -0.2, 0.6])


def poses(count: int) -> tuple[Array, Array, Array, Array]:
    """Hands anywhere, turned anyhow, with bent fingers."""
    generic, random = load_generic_hand(), np.random.default_rng(1)
    orient = exp_so3(random.uniform(-2, 2, (count, 3)))
    bent = exp_so3(generic.flexion_axes * random.uniform(0, 1.2, (count, 15, 1)))
    return orient, bent, np.tile(SHAPE, (count, 1)), random.uniform([-0.1, -0.1, 0.4], [0.1, 0.1, 0.8], (count, 3))


def test_a_converted_hand_lies_on_the_hand_that_it_was() -> None:
    generic, (target, kept) = load_generic_hand(), made_up_hand()
    given = poses(20)
    made = ModelConversion(generic, target, SHAPE).convert(*given)
    assert made.distance.max() < 0.002
    apart = [
        np.linalg.norm(
            target.pose(made.global_orient[i], made.hand_pose[i], made.betas, made.translation[i]).vertices
            - generic.pose(*(each[i] for each in given)).vertices[kept],
            axis=1,
        )
        for i in range(20)
    ]
    assert np.mean(apart) < 0.003
    assert np.abs(made.betas).max() < 2


def test_fingers_that_are_bent_more_are_bent_more_in_the_other_model_too() -> None:
    generic, (target, _) = load_generic_hand(), made_up_hand()
    conversion = ModelConversion(generic, target, SHAPE)
    orient, _, betas, place = poses(1)
    straight, bent = (
        conversion.convert(orient, exp_so3(angle * generic.flexion_axes)[None], betas, place) for angle in (0.0, 0.9)
    )
    turned = angle_between(straight.hand_pose, bent.hand_pose)[0]
    assert turned[:12] == pytest.approx(np.full(12, 0.9), abs=0.15)  # the four fingers
    assert angle_between(straight.global_orient, bent.global_orient)[0] < 0.05


def test_a_model_is_fitted_to_its_own_vertices_exactly() -> None:
    target, _ = made_up_hand()
    orient, bent, betas, place = poses(4)
    truth = np.stack([target.pose(*each).vertices for each in zip(orient, bent, betas, place, strict=True)])
    pose = Pose(orient @ exp_so3([0.2, -0.3, 0.2]), bent @ exp_so3(np.full(3, 0.15)), place + 0.02)
    for _ in range(12):
        pose = fit_step(surface_points(target, betas, pose.hand_pose), truth, np.ones(len(target.weights)), pose)
    assert angle_between(pose.global_orient, orient).max() < 1e-3
    assert angle_between(pose.hand_pose, bent).max() < 5e-3
    assert np.abs(pose.translation - place).max() < 1e-4


def test_places_on_a_mesh_are_the_nearest_that_look_the_same_way() -> None:
    # Two squares of two triangles, one above the other; the lower looks down.
    square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float)
    vertices = np.concatenate([square, square - (0, 0, 0.1)])
    faces = np.array([[0, 1, 2], [0, 2, 3], [4, 6, 5], [4, 7, 6]])
    points = np.array([[0.5, 0.4, 0.05], [0.5, 0.4, -0.09], [0.5, 0.4, 0.3], [3.0, 0.5, 0.0]])
    normals = np.array([[0, 0, 1], [0, 0, 1], [0, 0, -1], [0, 0, 1.0]])
    palm = np.full(4, -1)
    places = nearest_places(points, normals, palm, vertices, faces, np.full(8, -1), candidates=4)
    expected = [[0.5, 0.4, 0], [0.5, 0.4, 0], [0.5, 0.4, -0.1], [1, 0.5, 0]]
    assert places.positions_on(vertices) == pytest.approx(np.array(expected), abs=1e-9)
    assert places.weights.tolist() == [1, 1, 1, 0], "what lies beyond an open border has no place"
    other = nearest_places(points, normals, np.full(4, 2), vertices, faces, np.full(8, 1), candidates=4)
    assert not other.weights.any(), "a finger has no place on another"
