"""Poses: within what joints do, without fingers in one another, and holding what they hold."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from hamba_core.hand import FINGERS, load_generic_hand
from stages.synthetic.crops.posing import Kinematics, Thing, free_pose, grasp, random_thing
from stages.synthetic.crops.posing.kinematics import finger_points
from stages.synthetic.crops.posing.poses import GESTURES, gesture, pinch

MODEL = load_generic_hand()


def finger_gaps(kinematics: Kinematics, angles: np.ndarray, thing: Thing) -> np.ndarray:
    """Metres (5, 9) between points along the fingers' skin and a thing."""
    points, radii = finger_points(kinematics.joints(angles[None]), kinematics.thickness)
    return (thing.distance(points[0]) - radii).reshape(5, 9)


LEAST, MOST = MODEL.joint_limits[..., 0], MODEL.joint_limits[..., 1]


def any_hand(seed: int) -> Kinematics:
    return Kinematics(MODEL, np.clip(np.random.default_rng([seed, 1]).normal(0, 1, 10), -2.3, 2.3))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
def test_kinematics_puts_joints_where_the_hand_model_does(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    betas = rng.normal(0, 1, 10)
    kinematics = Kinematics(MODEL, betas)
    angles = LEAST + (MOST - LEAST) * rng.uniform(0, share, (15, 3))
    posed = MODEL.pose(np.eye(3), kinematics.hand_pose(angles), betas, np.zeros(3))
    expected = (posed.joints - posed.joints[0]) @ kinematics.R_rest_palm
    off = np.abs(kinematics.joints(angles[None])[0] - expected).max(1)
    assert off.reshape(21)[[i for i in range(21) if i % 4 or i == 0]].max() < 1e-9
    assert off.max() < 1e-3  # the tips are vertices, which other bones pull at a little


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_free_pose_stays_within_the_joints_limits_and_does_not_collide(seed: int) -> None:
    kinematics = any_hand(seed)
    angles, _ = free_pose(kinematics, np.random.default_rng(seed))
    assert (angles >= LEAST - 1e-9).all()
    assert (angles <= MOST + 1e-9).all()
    assert kinematics.depth_of_collision(angles[None])[0] < 0.0041


def test_a_finger_pushed_through_the_palm_is_led_out_of_it() -> None:
    kinematics = any_hand(0)
    angles = gesture("fist")
    angles.reshape(5, 3, 3)[4, 0] = (0.2, -0.3, 0)  # the thumb flat where the curled fingers are
    angles.reshape(5, 3, 3)[4, 1:, 0] = (1.0, 1.2)
    assert kinematics.depth_of_collision(angles[None])[0] > 0.003
    led = kinematics.without_collision(angles, gesture("open"))
    assert kinematics.depth_of_collision(led[None])[0] <= 0.0015


@pytest.mark.parametrize("name", GESTURES)
def test_every_gesture_is_one_that_a_middling_hand_can_make(name: str) -> None:
    angles = gesture(name)
    assert (angles >= LEAST - 0.12).all()
    assert (angles <= MOST + 0.12).all()
    assert Kinematics(MODEL, np.zeros(10)).depth_of_collision(angles[None])[0] < 0.0025


@pytest.mark.parametrize("finger", FINGERS[1:])
def test_a_pinch_brings_the_thumb_to_the_finger(finger: str) -> None:
    kinematics = Kinematics(MODEL, np.zeros(10))
    tips = 4, 4 * FINGERS.index(finger) + 4
    for seed in range(6):
        joints = kinematics.joints(pinch(finger, np.random.default_rng(seed))[None])[0]
        assert np.linalg.norm(joints[tips[0]] - joints[tips[1]]) < 0.016


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_grasp_touches_the_thing(seed: int) -> None:
    kinematics = any_hand(seed)
    angles, thing, _ = grasp(kinematics, np.random.default_rng(seed))
    assert finger_gaps(kinematics, angles, thing).min() < 0.006


def test_hardly_a_grasp_goes_through_the_thing() -> None:
    """The flesh gives way, no bone does; one in hundreds is wrong (seed 66878: by 10 mm), and crops bear that."""
    depths = []
    for seed in [*range(40), 66878]:
        kinematics = any_hand(seed)
        angles, thing, kind = grasp(kinematics, np.random.default_rng(seed))
        if kind not in ("pen", "small"):
            bones, _ = finger_points(kinematics.joints(angles[None]), kinematics.thickness)
            depths.append(thing.distance(bones).min())
    assert np.mean(np.array(depths) > -0.003) > 0.95
    assert min(depths) > -0.015


def test_most_fingers_close_on_what_the_palm_holds() -> None:
    touching = []
    for seed in range(60):
        kinematics = any_hand(seed)
        angles, thing, kind = grasp(kinematics, np.random.default_rng(seed))
        if kind not in ("pen", "small"):
            touching.append((finger_gaps(kinematics, angles, thing).min(1) < 0.005).sum())
    assert np.mean(touching) > 3


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_things_surface_is_at_no_distance_from_it_and_faces_outwards(seed: int) -> None:
    rng = np.random.default_rng(seed)
    thing = random_thing(rng, rng.normal(0, 0.3, 3))
    mesh = thing.mesh()
    assert np.abs(thing.distance(mesh.vertices)).max() < 0.05 * thing.half.max()
    assert np.median(np.abs(thing.distance(mesh.vertices))) < 1e-9
    assert (thing.distance(mesh.vertices + 0.1 * thing.half.min() * mesh.normals) > 0).all()
    assert thing.distance(thing.centre) < 0
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    wound = np.einsum("ij,ij->i", np.cross(b - a, c - a), mesh.normals[mesh.faces].sum(1))
    assert (wound >= -1e-12).all()


def test_a_moved_thing_keeps_its_distances() -> None:
    rng = np.random.default_rng(3)
    thing = random_thing(rng, np.zeros(3))
    R, t = np.linalg.qr(rng.normal(size=(3, 3)))[0], rng.normal(size=3)
    points = rng.normal(0, 0.1, (50, 3))
    moved: Thing = thing.moved(R, t)
    np.testing.assert_allclose(moved.distance(points @ R.T + t), thing.distance(points), atol=1e-12)
