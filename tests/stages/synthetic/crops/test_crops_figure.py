"""The surface that is drawn: closed to the forearm, true to the model, dressed."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from hamba_core.hand import load_generic_hand
from stages.synthetic.crops.figure import Stance, any_outfit, any_tone, hand_surface, make_figure, mirrored
from stages.synthetic.crops.figure.clothing import Outfit
from stages.synthetic.crops.figure.forearm import Forearm, skin_rings
from stages.synthetic.crops.posing import Kinematics
from stages.synthetic.crops.posing.poses import gesture

MODEL = load_generic_hand()
STANCE = Stance(gesture("relaxed"), np.diag([1.0, -1, -1]), np.array([0.0, 0.05, 0.5]), np.array([0.0, 1, 0]))
BARE = Outfit(sleeve=None, loose=0.01, watch=None, bracelet=None, rings=(), glove=None)
DRESSED = Outfit(sleeve=0.06, loose=0.01, watch=0.03, bracelet=0.02, rings=("ring", "thumb"), glove=None)


def figure(outfit: Outfit, stance: Stance = STANCE, betas: np.ndarray | None = None):  # type: ignore[no-untyped-def]
    betas = np.zeros(10) if betas is None else betas
    rng = np.random.default_rng(0)
    kinematics = Kinematics(MODEL, betas)
    return make_figure(MODEL, hand_surface("generic"), kinematics, betas, stance, outfit, any_tone(rng), "hand", rng)


def test_the_models_own_vertices_stay_where_the_model_puts_them() -> None:
    made = figure(BARE)
    again = MODEL.pose(made.global_orient, made.hand_pose, made.betas, made.translation)
    np.testing.assert_allclose(made.posed.vertices, again.vertices)
    np.testing.assert_allclose(made.parts[0].vertices[: len(again.vertices)], again.vertices)
    np.testing.assert_allclose(again.joints[0], STANCE.wrist, atol=1e-12)


def test_the_surface_has_no_hole_but_at_the_elbow() -> None:
    faces = hand_surface("generic").faces
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1)
    once = np.unique(edges, axis=0, return_counts=True)
    open_edges = once[0][once[1] == 1]
    rest, rim = hand_surface("generic").rest(np.zeros(10))
    assert len(open_edges) == 2 * len(rim)  # each edge of the last ring is halved
    assert (rest[open_edges][..., 1] < -0.3).all()


def test_normals_point_out_of_the_hand() -> None:
    part = figure(BARE).parts[0]
    own = part.vertices[: len(MODEL.v_template)]
    inwards = part.normals[: len(own)] * 0.002
    # A step inwards brings a vertex of a finger nearer to its finger's other vertices.
    finger = MODEL.weights[:, 2] > 0.9
    middle = own[finger].mean(0)
    before = np.linalg.norm(own[finger] - middle, axis=1)
    after = np.linalg.norm(own[finger] - inwards[finger] - middle, axis=1)
    assert (after < before).mean() > 0.95


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_bent_forearm_keeps_its_length_and_thickness(seed: int) -> None:
    rng = np.random.default_rng(seed)
    elbow = rng.normal((0, 2.5, 0), 1)
    forearm = Forearm(np.zeros(3), np.diag([1.0, -1, -1]), elbow / np.linalg.norm(elbow))
    behind = np.linspace(0, 0.3, 400)
    line = forearm.place(np.stack([np.zeros(400), -behind, np.zeros(400)], 1))
    assert np.linalg.norm(np.diff(line, axis=0), axis=1).sum() == pytest.approx(0.3, rel=1e-3)
    side = forearm.place(np.stack([np.full(400, 0.03), -behind, np.zeros(400)], 1))
    np.testing.assert_allclose(np.linalg.norm(side - line, axis=1), 0.03, rtol=1e-9)
    np.testing.assert_allclose((line[-1] - line[-2]) / np.linalg.norm(line[-1] - line[-2]), forearm.elbow, atol=1e-6)


def test_the_forearm_goes_on_from_the_rim_and_grows() -> None:
    rim = hand_surface("generic").rest(np.zeros(10))[1]
    rings = skin_rings(rim)
    assert np.linalg.norm(rings[0] - rim, axis=1).max() < 0.012
    widths = np.ptp(rings[..., 0], axis=1)
    assert widths[-1] > 1.3 * widths[0]


def test_everything_worn_is_a_part_near_the_arm_it_is_worn_on() -> None:
    made = figure(DRESSED)
    assert [part.owner for part in made.parts[:1]] == ["hand"]
    worn = made.parts[1:]
    assert len(worn) >= 6  # sleeve, band and case, one bracelet or more, two rings
    assert all(part.owner == "worn" for part in worn)
    for part in worn:
        nearest = np.linalg.norm(part.vertices[:, None] - made.parts[0].vertices[None, ::4], axis=2).min(1)
        assert nearest.min() < 0.008


def test_a_ring_is_around_its_finger() -> None:
    made = figure(Outfit(None, 0.01, None, None, ("ring",), None))
    ring = made.parts[1]
    joints = made.posed.joints[13:15]
    along = joints[1] - joints[0]
    at = (ring.vertices.mean(0) - joints[0]) @ along / (along @ along)
    assert 0.4 < at < 0.85
    off = ring.vertices.mean(0) - joints[0] - at * along
    assert np.linalg.norm(off) < 0.005


def test_a_mirrored_part_is_wound_outwards_still() -> None:
    part = figure(BARE).parts[0]
    left = mirrored(part)
    a, b, c = (left.vertices[left.faces[:, k]] for k in range(3))
    facing = np.einsum("ij,ij->i", np.cross(b - a, c - a), left.normals[left.faces].sum(1))
    assert (facing > 0).mean() > 0.99
    np.testing.assert_allclose(left.vertices[:, 0], -part.vertices[:, 0])


def test_people_wear_different_things() -> None:
    outfits = [any_outfit(np.random.default_rng(seed)) for seed in range(300)]
    assert 0.5 < np.mean([outfit.sleeve is not None for outfit in outfits]) < 0.7
    assert {outfit.glove for outfit in outfits} == {None, "whole", "fingerless", "thin"}
    assert any(outfit.watch for outfit in outfits)
    assert any(len(outfit.rings) > 1 for outfit in outfits)
