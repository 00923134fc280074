"""The hand model that ships."""

from collections import Counter
from importlib.resources import files
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from hamba_core.arrays import Array, Int64Array
from hamba_core.hand import generic_hand
from hamba_core.hand.generic_hand import SHAPE_DIRECTIONS, load_generic_hand
from hamba_core.hand.generic_hand.make.shape_directions import UNIT
from hamba_core.hand.skeleton import FINGERS, JOINT_NAMES, MODEL_JOINT_NAMES, SIDES, Side

HAND = load_generic_hand()
MEAN = np.zeros(10)
FLAT = np.tile(np.eye(3), (15, 1, 1))

betas_of_people = arrays(np.float64, 10, elements=st.floats(-2, 2, width=32))


def beta(name: str, value: float) -> Array:
    betas = np.zeros(10)
    betas[SHAPE_DIRECTIONS.index(name)] = value
    return betas


def volume(vertices: Array, faces: Int64Array) -> float:
    a, b, c = vertices[faces].transpose(1, 0, 2)
    return float(np.sum(a * np.cross(b, c)) / 6)


def measures(betas: Array) -> dict[str, float]:
    """What one would measure on the flat hand with a ruler, metres."""
    joints, vertices = HAND.rest_joints_21(betas), HAND.v_template + HAND.shapedirs @ betas
    at = dict(zip(JOINT_NAMES, joints, strict=True))

    def lengths(*names: str) -> float:
        return float(sum(np.linalg.norm(at[b] - at[a]) for a, b in pairwise(names)))

    def depth(among: NDArray[np.bool_], axis: int) -> float:
        return float(np.ptp(vertices[among, axis]))

    rest = HAND.v_template
    middle_phalanx = (HAND.weights[:, MODEL_JOINT_NAMES.index("middle_2")] > 0.7) & (rest[:, 0] > -0.07)
    mid_palm = (HAND.weights[:, 0] > 0.9) & (np.abs(rest[:, 0] - 0.015) < 0.01) & (np.abs(rest[:, 2]) < 0.01)
    return {
        "palm_width": lengths("index_1", "little_1"),
        "palm_length": lengths("wrist", "middle_1"),
        **{f"{finger}_length": lengths(*(f"{finger}_{i}" for i in range(1, 5))) for finger in FINGERS},
        "finger_thickness": depth(middle_phalanx, 1),
        "palm_thickness": depth(mid_palm, 1),
    }


def test_it_is_loaded_once() -> None:
    assert load_generic_hand() is HAND


def test_its_licence_lies_beside_it() -> None:
    text = (files(generic_hand) / "LICENSE.txt").read_text()
    assert "MIT License" in text
    assert "Copyright (c) 2019 Amazon" in text


def test_its_file_is_small() -> None:
    assert len((files(generic_hand) / "generic_hand.npz").read_bytes()) < 150_000


def test_mesh_is_closed_and_of_one_piece() -> None:
    directed = Counter((int(f[i]), int(f[i - 2])) for f in HAND.faces for i in range(3))
    # Every edge once in each direction: two faces at each, wound alike.
    assert set(directed.values()) == {1}
    assert all((b, a) in directed for a, b in directed)
    assert len(np.unique(HAND.faces)) == len(HAND.v_template)
    assert len(HAND.v_template) - len(directed) // 2 + len(HAND.faces) == 2  # Euler's characteristic of a sphere


def test_no_two_vertices_coincide_and_no_face_is_degenerate() -> None:
    assert len(np.unique(HAND.v_template.round(5), axis=0)) == len(HAND.v_template)
    a, b, c = HAND.v_template[HAND.faces].transpose(1, 0, 2)
    assert np.linalg.norm(np.cross(b - a, c - a), axis=1).min() > 1e-7


@pytest.mark.parametrize("side", SIDES)
def test_faces_look_outward(side: Side) -> None:
    vertices = HAND.pose(np.eye(3), FLAT, MEAN, np.zeros(3), side).vertices
    litres = 1000 * volume(vertices, HAND.faces_of(side))
    assert 0.25 < litres < 0.5


def test_it_lies_flat_with_fingers_to_minus_x_palm_down_and_thumb_to_plus_z() -> None:
    at = dict(zip(JOINT_NAMES, HAND.rest_joints_21(MEAN), strict=True))
    for finger in FINGERS[1:]:
        direction = at[f"{finger}_3"] - at[f"{finger}_1"]
        direction /= np.linalg.norm(direction)
        assert direction[0] < -0.9
        assert abs(direction[1]) < 0.01
    across = [at[joint][2] for joint in ("thumb_2", "index_1", "middle_1", "ring_1", "little_1")]
    assert across == sorted(across, reverse=True)
    # The hollow of the hand and the thumb's root are below the plane of the knuckles.
    assert at["thumb_2"][1] < at["index_1"][1] < at["middle_1"][1]


def test_the_wrist_is_where_mano_has_it() -> None:
    np.testing.assert_allclose(HAND.rest_joints(MEAN)[0], (0.0957, 0.0064, 0.0062), atol=1e-5)


@given(betas_of_people)
def test_the_wrist_stays_in_place_whatever_the_shape(betas: Array) -> None:
    np.testing.assert_allclose(HAND.rest_joints(betas)[0], HAND.rest_joints(MEAN)[0], atol=1e-4)


def test_regressor_is_sparse_and_averages() -> None:
    assert HAND.j_regressor.min() >= 0
    np.testing.assert_allclose(HAND.j_regressor.sum(1), 1, atol=1e-12)
    assert np.count_nonzero(HAND.j_regressor, axis=1).max() <= 100


@given(betas_of_people)
def test_joints_stay_in_the_middle_of_the_shaped_fingers(betas: Array) -> None:
    shaped, joints = HAND.v_template + HAND.shapedirs @ betas, HAND.rest_joints(betas)
    for j, name in enumerate(MODEL_JOINT_NAMES):
        if name[-1] not in "23" or name == "thumb_2":  # the others are within the palm's flesh
            continue
        bone = joints[j] - joints[j - 1]
        bone /= np.linalg.norm(bone)
        sideways = HAND.flexion_axes[j - 1] - bone * (HAND.flexion_axes[j - 1] @ bone)
        offset = shaped - joints[j]
        # A ring of skin over the joint, seen along the bone.
        over = (np.minimum(HAND.weights[:, j], HAND.weights[:, j - 1]) > 0.02) & (np.abs(offset @ bone) < 0.006)
        for across in (sideways / np.linalg.norm(sideways), np.cross(bone, sideways / np.linalg.norm(sideways))):
            least, most = (offset[over] @ across).min(), (offset[over] @ across).max()
            assert abs(least + most) / (most - least) < 0.25, name


@given(betas_of_people)
def test_joints_lie_inside_the_mesh(betas: Array) -> None:
    vertices = HAND.v_template + HAND.shapedirs @ betas
    for joint in HAND.rest_joints(betas):
        a, b, c = (vertices[HAND.faces] - joint).transpose(1, 0, 2)
        la, lb, lc = (np.linalg.norm(x, axis=1) for x in (a, b, c))
        # The solid angle of a triangle (Van Oosterom and Strackee, 1983); all together are the sphere's from inside.
        upper = np.sum(a * np.cross(b, c), 1)
        lower = la * lb * lc + np.sum(a * b, 1) * lc + np.sum(b * c, 1) * la + np.sum(c * a, 1) * lb
        assert 2 * np.arctan2(upper, lower).sum() == pytest.approx(4 * np.pi)


@given(betas_of_people)
def test_bone_lengths_are_those_of_the_directions(betas: Array) -> None:
    """The regressor gives the joints that the shape directions were made for, however they mix."""
    size, thumb = betas[0], betas[SHAPE_DIRECTIONS.index("thumb_length")]
    bone = np.array([-1.0, 1.0]) @ HAND.rest_joints(MEAN)[[14, 15]]
    stretched = np.array([-1.0, 1.0]) @ HAND.rest_joints(betas)[[14, 15]]
    wanted = 1 + UNIT["size"] * size + UNIT["thumb_length"] * thumb
    assert np.linalg.norm(stretched) == pytest.approx(wanted * np.linalg.norm(bone), abs=3e-4)


def test_weights_are_shares() -> None:
    assert HAND.weights.min() >= 0
    np.testing.assert_allclose(HAND.weights.sum(1), 1, atol=1e-12)
    assert np.count_nonzero(HAND.weights, axis=1).max() <= 6


def test_weights_change_smoothly_over_the_mesh() -> None:
    a, b = HAND.faces[:, [0, 1, 2]].reshape(-1), HAND.faces[:, [1, 2, 0]].reshape(-1)
    distance = np.linalg.norm(HAND.v_template[a] - HAND.v_template[b], axis=1)
    change = np.abs(HAND.weights[a] - HAND.weights[b]).sum(1) / 2
    # Nowhere does more than a fifth of a vertex's weight change hands on a millimetre.
    assert (change / distance).max() < 0.2 / 0.001


def test_tips_are_the_ends_of_the_fingers() -> None:
    joints = HAND.rest_joints_21(MEAN)
    for finger, tip in zip(FINGERS, HAND.tips, strict=True):
        last = JOINT_NAMES.index(f"{finger}_3")
        bone = joints[last] - joints[last - 1]
        bone /= np.linalg.norm(bone)
        own = HAND.weights[:, MODEL_JOINT_NAMES.index(f"{finger}_3")] > 0.5
        reach = (HAND.v_template - joints[last]) @ bone
        assert own[tip]
        assert reach[tip] > reach[own].max() - 0.002
        assert 0.018 < np.linalg.norm(joints[last + 1] - joints[last]) < 0.028


def test_betas_mean_what_their_names_say() -> None:
    mean, names = measures(MEAN), SHAPE_DIRECTIONS[1:]
    for name in names:
        changed = measures(beta(name, 2.0))
        relative = {other: changed[other] / mean[other] - 1 for other in names}
        own = relative.pop(name)
        assert own == pytest.approx(2 * UNIT[name], rel=0.25), name
        assert max(abs(v) for v in relative.values()) < 0.2 * own, (name, relative)


def test_size_changes_everything_alike() -> None:
    mean, large = measures(MEAN), measures(beta("size", 2.0))
    np.testing.assert_allclose([large[k] / mean[k] for k in mean], 1 + 2 * UNIT["size"], rtol=2e-3)


def test_sizes_span_children_and_the_largest_adults() -> None:
    def hand_length(size: float) -> float:
        joints = HAND.rest_joints_21(beta("size", size))
        return float(np.linalg.norm(joints[JOINT_NAMES.index("middle_4")] - joints[0]))

    assert 0.175 < hand_length(0) < 0.195  # means of women and men: Ibeachu et al., Asian J. Medical Sciences 3, 2011
    assert 0.13 < hand_length(-2) < 0.16
    assert 0.21 < hand_length(2) < 0.24


def test_proportions_are_little_correlated() -> None:
    # As shapes: where the hand as a whole lies does not count.
    flat = (HAND.shapedirs - HAND.shapedirs.mean(0)).reshape(-1, 10)
    flat = flat / np.linalg.norm(flat, axis=0)
    cosines = np.abs(flat.T @ flat) - np.eye(10)
    assert cosines[1:, 1:].max() < 0.5
    assert cosines.max() < 0.7  # size is a bit of every other


@given(betas_of_people)
def test_no_shape_turns_the_mesh_inside_out_and_the_most_extreme_ones_fold_hardly_a_face(betas: Array) -> None:
    vertices = HAND.v_template + HAND.shapedirs @ betas
    assert volume(vertices, HAND.faces) > 0.3 * volume(HAND.v_template, HAND.faces)
    a, b, c = HAND.v_template[HAND.faces].transpose(1, 0, 2)
    p, q, r = vertices[HAND.faces].transpose(1, 0, 2)
    agreement = np.sum(np.cross(b - a, c - a) * np.cross(q - p, r - p), 1)
    # With nearly all directions at their limits at once, up to 15 of the 2996 faces were seen to fold.
    assert np.mean(agreement <= 0) < 0.01
