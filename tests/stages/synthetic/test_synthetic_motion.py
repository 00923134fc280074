"""How the hands of the test pattern move."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hamba_core.hand import MIRROR, MODEL_JOINT_NAMES, SIDES, PosedHand, Side, load_generic_hand
from hamba_core.view import Intrinsics
from stages.synthetic.motion.gestures import hand_pose, make_gestures
from stages.synthetic.motion.motion import CYCLE, Choreography, HandState, View, palm_basis

MODEL = load_generic_hand()
SIZE = (640, 480)
CAMERA = Intrinsics.from_field_of_view(np.radians(60), *SIZE)


@cache
def choreography(seed: int = 0, sides: tuple[Side, ...] = SIDES, view: View = "facing") -> Choreography:
    return Choreography(MODEL, seed, sides, CAMERA, SIZE, view, np.zeros((len(sides), 10)))


def posed(state: HandState) -> PosedHand:
    return MODEL.pose(state.global_orient, state.hand_pose, state.betas, state.translation, state.side)


@settings(deadline=None, max_examples=60)
@given(time=st.floats(0, 3 * CYCLE), seed=st.integers(0, 3))
def test_hands_move_without_jumps(time: float, seed: int) -> None:
    dance, step = choreography(seed), 1e-3
    for before, after in zip(dance.states(time), dance.states(time + step), strict=True):
        assert np.linalg.norm(after.wrist - before.wrist) < 2 * step  # 2 m/s
        turned = Rotation.from_matrix(after.global_orient @ before.global_orient.T).magnitude()
        bent = Rotation.from_matrix(after.hand_pose @ before.hand_pose.transpose(0, 2, 1)).magnitude()
        assert turned < 15 * step
        assert bent.max() < 25 * step


@settings(deadline=None, max_examples=30)
@given(time=st.floats(0, 100), view=st.sampled_from(["facing", "first_person"]))
def test_the_wrist_is_where_the_parameters_put_it(time: float, view: View) -> None:
    for state in choreography(view=view).states(time):
        np.testing.assert_allclose(posed(state).joints[0], state.wrist, atol=1e-9)


@settings(deadline=None, max_examples=20)
@given(time=st.floats(0, 100), seed=st.integers(0, 3))
def test_a_left_hand_is_the_mirrored_right_hand_with_the_same_parameters(time: float, seed: int) -> None:
    (left,), (right,) = (choreography(seed, (side,)).states(time) for side in SIDES)
    np.testing.assert_array_equal(left.global_orient, right.global_orient)
    np.testing.assert_allclose(posed(left).vertices, posed(right).vertices @ MIRROR, atol=1e-9)


def test_states_do_not_depend_on_what_was_asked_before() -> None:
    one, other = choreography.__wrapped__(5), choreography(5)
    for time in (0.0, 12.5, 3.7, 33.3, 12.5):
        other.states(time)
    for a, b in zip(one.states(3.7), other.states(3.7), strict=True):
        np.testing.assert_array_equal(a.global_orient, b.global_orient)
        np.testing.assert_array_equal(a.hand_pose, b.hand_pose)
        np.testing.assert_array_equal(a.translation, b.translation)


@pytest.mark.parametrize("view", ["facing", "first_person"])
@pytest.mark.parametrize("seed", range(2))
def test_within_a_cycle_hands_cross_without_touching_leave_and_come_back(view: View, seed: int) -> None:
    dance = choreography(seed, view=view)
    changed, away, back = False, set(), set()
    for time in np.arange(0, CYCLE, 0.05):
        states = dance.states(time)
        hands = [posed(state) for state in states]
        order = np.sign(hands[0].joints[0, 0] - hands[1].joints[0, 0])
        changed |= order == (-1 if view == "facing" else 1)  # the left hand is at the right of who faces it
        assert np.min(cKDTree(hands[0].vertices).query(hands[1].vertices)[0]) > 0.01
        for state, hand in zip(states, hands, strict=True):
            pixels = CAMERA.project(hand.vertices)
            outside = np.asarray(((pixels < 0) | (pixels > SIZE)).any(1))
            if outside.all():
                away.add(state.side)
            elif state.side in away and not outside[: len(outside) // 2].any():
                back.add(state.side)
    assert changed
    assert len(away) == 1
    assert back == away


@pytest.mark.parametrize("view", ["facing", "first_person"])
def test_each_cycle_shows_palms_and_a_back(view: View) -> None:
    palms = []
    for time in np.arange(0, CYCLE, 0.1):
        for state in choreography(view=view).states(time):
            mirror = MIRROR if state.side == "left" else np.eye(3)
            palm = mirror @ palm_basis(posed(state).joints @ mirror)[:, 2]
            palms.append(-palm @ state.wrist / np.linalg.norm(state.wrist))
    assert min(palms) < -0.8
    assert np.mean(np.array(palms) > 0.5) > 0.75


@settings(deadline=None, max_examples=25)
@given(st.lists(st.floats(-1.5, 1.5), min_size=10, max_size=10))
def test_the_pads_of_a_pinch_meet_whatever_the_hands_shape(betas: list[float]) -> None:
    angles = make_gestures(MODEL, np.array(betas))["pinch"]
    hand = MODEL.pose(np.eye(3), hand_pose(MODEL, angles), np.array(betas), np.zeros(3))
    thumb, index = (
        hand.vertices[MODEL.weights[:, MODEL_JOINT_NAMES.index(f"{finger}_3")] > 0.5] for finger in ("thumb", "index")
    )
    assert np.min(cKDTree(thumb).query(index)[0]) < 0.004


def test_gestures_stay_within_the_joints_limits() -> None:
    least, most = MODEL.joint_limits[..., 0], MODEL.joint_limits[..., 1]
    np.testing.assert_allclose(hand_pose(MODEL, most + 1), hand_pose(MODEL, most), atol=1e-12)
    for name, angles in make_gestures(MODEL, np.zeros(10)).items():
        over = np.maximum(angles - most, least - angles).max()
        assert over < np.radians(2), name


def test_gestures_alone_show_each_one_and_say_when() -> None:
    dance = Choreography(MODEL, 3, SIDES, CAMERA, SIZE, "facing", np.zeros((2, 10)), "gestures")
    shown: list[set[str]] = [set(), set()]
    for time in np.arange(0, CYCLE, 0.05):
        for seen, off in zip(shown, dance.gestures_at(time), strict=True):
            seen |= {name for name, radians in off.items() if radians < 1e-6}
    for seen in shown:
        assert {"pinch", "almost_pinch", "fist", "one", "two", "thumbs_up", "relaxed", "open"} <= seen
    again = Choreography(MODEL, 3, SIDES, CAMERA, SIZE, "facing", np.zeros((2, 10)), "gestures")
    assert again.gestures_at(4.2) == dance.gestures_at(4.2)


@given(time=st.floats(0, 2 * CYCLE), seed=st.integers(0, 3))
@settings(deadline=None, max_examples=30)
def test_shown_gestures_move_without_jumps_too(time: float, seed: int) -> None:
    dance = Choreography(MODEL, seed, SIDES, CAMERA, SIZE, "facing", np.zeros((2, 10)), "gestures")
    step = 1e-3
    for before, after in zip(dance.states(time), dance.states(time + step), strict=True):
        assert np.linalg.norm(after.wrist - before.wrist) < 2 * step
        bent = Rotation.from_matrix(after.hand_pose @ before.hand_pose.transpose(0, 2, 1)).magnitude()
        assert bent.max() < 25 * step
