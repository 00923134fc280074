"""Meshes: where they face and where they end."""

from collections import Counter

import numpy as np
import pytest

from hamba_core.hand import close_holes, face_incidence, load_generic_hand, rims, vertex_normals

OCTAHEDRON = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
FACES = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])


def test_normals_look_outward() -> None:
    np.testing.assert_allclose(vertex_normals(OCTAHEDRON, FACES), OCTAHEDRON, atol=1e-12)
    known = face_incidence(FACES, 6)
    np.testing.assert_allclose(vertex_normals(OCTAHEDRON.astype(np.float32), FACES, known), OCTAHEDRON, atol=1e-6)


def test_normals_of_a_cube_point_to_its_corners() -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
    squares = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    centres = np.array([corners[list(square)].mean(0) for square in squares])
    faces = [(8 + i, a, b) for i, q in enumerate(squares) for a, b in zip(q, (*q[1:], q[0]), strict=True)]
    vertices = np.concatenate([corners, centres])
    both = np.stack([vertices, 0.01 * vertices + [1, 2, 3]])
    expected = vertices / np.linalg.norm(vertices, axis=1, keepdims=True)
    np.testing.assert_allclose(vertex_normals(both, np.array(faces)), [expected, expected], atol=1e-12)


def test_a_vertex_in_no_face_has_a_unit_normal_all_the_same() -> None:
    normals = vertex_normals(np.eye(3)[None, [0, 1, 2, 0]], np.array([[0, 1, 2]]))
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1)


def sides(faces: np.ndarray) -> Counter[tuple[int, int]]:
    return Counter((int(a), int(b)) for a, b in faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2))


def is_closed(faces: np.ndarray) -> bool:
    """Every side of a face is that of one other, walked the other way."""
    counted = sides(faces)
    return set(counted.values()) == {1} and all((b, a) in counted for a, b in counted)


def test_a_closed_mesh_has_no_rim_and_stays_as_it_is() -> None:
    assert is_closed(FACES)
    assert rims(FACES) == []
    np.testing.assert_array_equal(close_holes(FACES), FACES)


@pytest.mark.parametrize(("left_out", "lengths"), [([0], [3]), ([0, 6], [3, 3]), ([0, 1, 2, 3], [4]), ([0, 1], [4])])
def test_rims_go_around_the_holes_in_the_faces_direction_and_holes_can_be_closed(
    left_out: list[int], lengths: list[int]
) -> None:
    faces = np.delete(FACES, left_out, 0)
    found = rims(faces)
    assert sorted(len(rim) for rim in found) == sorted(lengths)
    for rim in found:
        assert rim[0] == min(rim)
        for side in zip(rim, [*rim[1:], rim[0]], strict=True):
            assert side in sides(faces)
            assert side[::-1] not in sides(faces)
    whole = close_holes(faces)
    np.testing.assert_array_equal(whole[: len(faces)], faces)
    assert is_closed(whole)


def test_the_generic_hand_is_closed_or_can_be() -> None:
    model = load_generic_hand()
    assert is_closed(close_holes(model.faces))
    assert is_closed(close_holes(model.faces_of("left")))
