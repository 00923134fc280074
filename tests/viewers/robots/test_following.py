"""A robot's hand goes where the person's does, as far and as fast as it can; unseen or let go, it keeps still."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, SIDES, Side, exp_so3, mirrored_points
from hamba_core.hand.rotations import angle_between
from stages.packets import FrameResult, Hand, WorldPose
from viewers.robots.retarget.clutch import Clutch
from viewers.robots.retarget.measuring import best_reachable, tip_errors
from viewers.robots.retarget.motion import JointMotion, PoseMotion, delay
from viewers.robots.retarget.retargeter import Retargeter, RetargetSettings
from viewers.robots.retarget.robot_hands import ROBOTS, Method, known_hand
from viewers.robots.retarget.solver import Solver, person_reach, tip_vectors
from viewers.robots.retarget.wrist_frame import joints_in_wrist, moved, wrist_pose

pytest.importorskip("dexi_rs", reason="needs dexi-rs: pip install 'hamba-stream[robots]'")

MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
FREE = RetargetSettings(method="vector", smoothing=0.0, speed=100.0, wrist_speed=100.0, wrist_turning=100.0)

vectors = st.tuples(*[st.floats(-2, 2)] * 3).map(np.array)


def frame_of(make_result: MakeResult, *hands: Hand, at: float = 0.0) -> FrameResult:
    return make_result(round(at * 1000), hands, pts=at)


@given(turn=vectors, move=vectors, side=st.sampled_from(SIDES))
def test_the_wrists_frame_moves_with_the_hand_and_a_left_hand_is_its_mirror_image(
    turn: Array, move: Array, side: Side
) -> None:
    joints = np.random.default_rng(3).normal(size=(21, 3)) * 0.02 + np.linspace(0, 0.1, 21)[:, None]
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = exp_so3(turn), move
    np.testing.assert_allclose(wrist_pose(moved(T, joints), side), T @ wrist_pose(joints, side), atol=1e-9)
    np.testing.assert_allclose(joints_in_wrist(moved(T, joints), side), joints_in_wrist(joints, side), atol=1e-9)
    right, left = joints_in_wrist(joints, "right"), joints_in_wrist(mirrored_points(joints, "left"), "left")
    np.testing.assert_allclose(left, right * [1, -1, 1], atol=1e-9)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("robot", ROBOTS)
def test_fingertips_come_nearly_as_near_as_the_robot_can_reach(robot: str, side: Side, make_hand: MakeHand) -> None:
    solver = Solver(known_hand(robot, side), "vector")
    hand, model = solver.hand, solver.model
    for seed in range(3):
        joints = joints_in_wrist(make_hand(seed, side).joints, side)
        wanted = solver.fingertip_targets(joints)
        positions = model.coupled(solver.solve(joints))
        limits = model.limits()[model.free()]
        free = positions[model.free()]
        assert (free >= limits[:, 0] - 2e-3).all()
        assert (free <= limits[:, 1] + 2e-3).all()
        best = best_reachable(hand, model, wanted, [positions, model.limits().mean(1)])
        reached = tip_errors(hand, model, wanted, positions).mean()
        assert reached < tip_errors(hand, model, wanted, best).mean() + 0.012


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("robot", ROBOTS)
def test_a_pinch_is_a_pinch_of_the_robot(robot: str, side: Side, make_hand: MakeHand) -> None:
    """Whatever reaches: fingertips of a person that touch make those of the robot touch, unless asked otherwise."""
    joints = joints_in_wrist(make_hand(0, side).joints, side)
    middle = (joints[4] + joints[8]) / 2
    joints[4], joints[8] = middle, middle
    joints[[4, 8], 1] += (0.004, -0.004)
    gaps = []
    methods: tuple[Method | None, ...] = (None, "vector")
    for method in methods:
        solver = Solver(known_hand(robot, side), method)
        for _ in range(3):
            positions = solver.model.coupled(solver.solve(joints))
        tips = tip_vectors(solver.hand, solver.model, positions)
        gaps.append(float(np.linalg.norm(tips[0] - tips[1])))
    assert gaps[0] < 0.012
    assert gaps[0] < gaps[1]


def test_what_a_robot_can_do_is_found_to_be_reachable() -> None:
    solver = Solver(known_hand("allegro", "right"))
    model = solver.model
    positions = model.limits() @ [0.4, 0.6]
    wanted = tip_vectors(solver.hand, model, positions)
    found = best_reachable(solver.hand, model, wanted, [model.limits().mean(1)])
    assert tip_errors(solver.hand, model, wanted, found).max() < 1e-3


def test_a_larger_person_moves_the_robot_alike(make_hand: MakeHand) -> None:
    solver = Solver(known_hand("leap", "right"), "vector")
    joints = joints_in_wrist(make_hand(1).joints, "right")
    np.testing.assert_allclose(solver.fingertip_targets(1.3 * joints), solver.fingertip_targets(joints), atol=1e-9)
    assert person_reach(solver.hand, 1.3 * joints) == pytest.approx(1.3 * person_reach(solver.hand, joints))
    first = solver.solve(joints)
    solver.reset()
    solver.solve(1.3 * joints)
    solver.reset()
    np.testing.assert_allclose(solver.solve(1.3 * joints), first, atol=1e-3)


@given(tau=st.floats(0, 0.5), dt=st.floats(0.005, 0.09), slope=st.floats(-2, 2))
def test_smoothing_delays_a_steady_motion_by_what_is_told(tau: float, dt: float, slope: float) -> None:
    motion = JointMotion(np.array([[-1e6, 1e6]]), np.array([1e6]), tau, np.zeros(1))
    steps = int(30 * tau / dt) + 200
    for number in range(steps):
        out = motion.step(np.array([slope * number * dt]), dt)
    late = slope * (steps - 1) * dt - out.positions[0]
    assert late == pytest.approx(slope * delay(dt, tau), abs=1e-6)
    assert not out.held_back


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=30), st.floats(0.001, 0.3))
def test_joints_stay_within_their_limits_and_speeds(wanted: list[float], dt: float) -> None:
    motion = JointMotion(np.array([[-0.5, 1.0]]), np.array([2.0]), 0.02, np.zeros(1))
    before = motion.positions.copy()
    for value in wanted:
        out = motion.step(np.array([value]), dt)
        assert -0.5 <= out.positions[0] <= 1.0
        assert abs(out.positions[0] - before[0]) <= 2.0 * min(dt, 0.1) + 1e-9
        before = out.positions


def test_a_pose_goes_no_faster_than_it_may() -> None:
    motion = PoseMotion(np.eye(4), 0.0, 0.5, 1.0)
    wanted = np.eye(4)
    wanted[:3, 3], wanted[:3, :3] = [1, 0, 0], exp_so3([0, 0, 2])
    pose, held = motion.step(wanted, 0.1)
    assert held
    assert pose[0, 3] == pytest.approx(0.05)
    assert angle_between(np.eye(3), pose[:3, :3]) == pytest.approx(0.1)
    for _ in range(40):
        pose, held = motion.step(wanted, 0.1)
    assert not held
    np.testing.assert_allclose(pose, wanted, atol=1e-9)


def test_an_unseen_hand_is_held_or_relaxes_after_a_second(make_hand: MakeHand, make_result: MakeResult) -> None:
    hand = make_hand(2, "right")
    for unseen, expected in (("hold", "holding"), ("relax", "relaxing")):
        robot = Retargeter((known_hand("leap", "right"),), replace(FREE, unseen=unseen))  # type: ignore[arg-type]
        assert robot.step(frame_of(make_result), 0.0).hands[0].state == "waiting"
        for number in range(1, 5):
            [held] = robot.step(frame_of(make_result, hand), number / 30).hands
        assert held.state == "following"
        away = robot.step(frame_of(make_result, replace(hand, seen=False)), 0.2).hands[0]
        assert (away.state, away.wrist, away.track_id) == ("holding", None, hand.track_id)
        poor = robot.step(frame_of(make_result, replace(hand, quality=0.05)), 0.25).hands[0]
        assert poor.state == "holding"
        np.testing.assert_allclose(poor.positions, held.positions)
        later = [robot.step(frame_of(make_result), 1.2 + number / 30).hands[0] for number in range(600)]
        assert later[-1].state == expected
        open_hand = np.clip(np.zeros(16), *robot.solver("right").model.limits().T)
        np.testing.assert_allclose(later[-1].positions, held.positions if unseen == "hold" else open_hand, atol=1e-6)


def test_the_wrist_goes_on_from_where_it_is_when_the_hand_is_taken_up_again(
    make_hand: MakeHand, make_result: MakeResult
) -> None:
    robot = Retargeter((known_hand("leap", "right"),), replace(FREE, wrist_scale=2.0, clutch="key"))
    near, far = make_hand(0, translation=(0, 0, 0.5)), make_hand(0, translation=(0.1, 0, 0.5))
    assert robot.step(frame_of(make_result, near), 0.0).hands[0].state in ("waiting", "released")
    robot.toggle()
    [first] = robot.step(frame_of(make_result, near), 0.1).hands
    np.testing.assert_allclose(first.target, np.eye(4), atol=1e-9)
    [second] = robot.step(frame_of(make_result, far), 0.2).hands
    np.testing.assert_allclose(second.target[:3, 3], [0.2, 0, 0], atol=1e-6)
    robot.toggle("right")
    [released] = robot.step(frame_of(make_result, near), 0.3).hands
    assert released.state == "released"
    assert released.wrist is not None
    np.testing.assert_allclose(released.target, second.target, atol=1e-9)
    robot.toggle()
    [again] = robot.step(frame_of(make_result, near), 0.4).hands
    np.testing.assert_allclose(again.target, second.target, atol=1e-9)
    robot.realign()
    [home] = robot.step(frame_of(make_result, near), 0.5).hands
    np.testing.assert_allclose(home.target, np.eye(4), atol=1e-9)


def test_the_wrist_is_in_the_world_where_the_camera_is_known(make_hand: MakeHand, make_result: MakeResult) -> None:
    hand, T = make_hand(0), np.eye(4)
    T[:3, :3], T[:3, 3] = exp_so3([0, 0, np.pi / 2]), [1, 2, 3]
    robot = Retargeter((known_hand("leap", "right"),), FREE)
    frame = robot.step(frame_of(make_result, hand))
    assert frame.reference == "camera"
    in_camera = frame.hands[0].wrist
    assert in_camera is not None
    np.testing.assert_allclose(in_camera, wrist_pose(hand.joints, "right"))
    result = frame_of(make_result, hand, at=0.1)
    result = replace(result, frame=replace(result.frame, world=WorldPose(T, "board")))
    frame = robot.step(result)
    assert frame.reference == "world"
    in_world = frame.hands[0].wrist
    assert in_world is not None
    np.testing.assert_allclose(in_world, T @ in_camera, atol=1e-9)
    np.testing.assert_allclose(frame.hands[0].target, np.eye(4), atol=1e-9)


def test_a_hidden_finger_is_followed_less(make_hand: MakeHand, make_result: MakeResult) -> None:
    bent, straight = make_hand(1), make_hand(0)
    hidden = np.ones(21, np.float32)
    hidden[5:9] = 0.0
    robot = Retargeter((known_hand("shadow", "right"),), FREE)
    other = Retargeter((known_hand("shadow", "right"),), FREE)
    for time in (0.0, 0.05):
        first = robot.step(frame_of(make_result, bent), time).hands[0].positions
        other.step(frame_of(make_result, bent), time)
    names = robot.names("right")
    index, ring = ([names.index(f"{f}J{n}") for n in (2, 3)] for f in ("FF", "RF"))
    [state] = robot.step(frame_of(make_result, replace(straight, visibility=hidden)), 0.1).hands
    [seen] = other.step(frame_of(make_result, straight), 0.1).hands
    moved_less = np.abs(state.positions - first)[index].sum()
    assert np.abs(seen.positions - first)[index].sum() > moved_less + 0.05
    np.testing.assert_allclose(state.positions[ring], seen.positions[ring], atol=0.15)


def test_a_hand_without_a_shape_is_not_followed_and_a_clock_may_go_back(
    make_hand: MakeHand, make_result: MakeResult
) -> None:
    from stages.ros import RosNames, messages_of
    from viewers.avatars import osc_messages

    hand = make_hand(1)
    collapsed = replace(hand, joints=np.zeros_like(hand.joints))
    flat = replace(hand, joints=hand.joints * np.array([0, 0, 1], np.float32))
    robot = Retargeter((known_hand("leap", "right"),), replace(FREE, unseen="relax"))
    [followed] = robot.step(frame_of(make_result, hand), 100.0).hands
    for number, wrong in enumerate((collapsed, flat, collapsed)):
        [state] = robot.step(frame_of(make_result, wrong), 100.1 + number / 30).hands
        assert (state.state, state.wrist) == ("holding", None)
        assert np.isfinite([*state.positions, *state.target.ravel()]).all()
        result = frame_of(make_result, wrong)
        assert [topic for topic, _ in messages_of(result, None, RosNames("cam"), 0)] == ["/cam/camera_info"]
        assert dict(osc_messages(result))["/hamba/right/seen"] == (0,)
    assert robot.step(frame_of(make_result), 5.0).hands[0].state == "holding"
    assert robot.step(frame_of(make_result), 6.5).hands[0].state == "relaxing"
    assert robot.step(frame_of(make_result, hand), 6.6).hands[0].state == followed.state == "following"


@pytest.mark.parametrize("later", [0.0, 7.5, 1e6])
def test_a_publisher_on_a_machine_that_was_started_anew_is_followed(
    later: float, make_hand: MakeHand, make_result: MakeResult
) -> None:
    """Its clock began anew: hours earlier; or it went ahead."""
    robot = Retargeter((known_hand("leap", "right"),), RetargetSettings(smoothing=0.03))
    hand = make_hand(1)
    before = robot.step(frame_of(make_result, hand), 50_000.0).hands[0]
    for step in range(3):
        [state] = robot.step(frame_of(make_result, hand), later + step / 30).hands
        assert state.state == "following"
        assert np.isfinite(state.positions).all()
        assert 0 <= state.delay <= 0.03
    assert np.abs(state.positions - before.positions).max() > 0


def touching(bent: str = "") -> Array:
    """A hand whose thumb touches its little finger; all other fingers are straight but one."""
    joints = np.zeros((21, 3))
    for finger in range(5):
        for bone in range(4):
            joints[1 + 4 * finger + bone] = [0.02 * finger - 0.04, 0, 0.09 + 0.025 * bone]
    joints[4] = joints[20] + [0.01, 0, 0]
    if bent:
        knuckle = JOINT_NAMES.index(f"{bent}_1")
        joints[knuckle + 3] = joints[knuckle] + [0, 0.02, 0.01]
    return joints


def test_the_gesture_toggles_once_each_time_that_it_is_held() -> None:
    clutch, apart = Clutch("gesture"), touching()
    apart[4] = [0.1, 0, 0.1]
    assert clutch.engaged
    assert all(clutch.see(touching(), t / 30) for t in range(14))
    assert not any(clutch.see(touching(), t / 30) for t in range(16, 90))
    assert not clutch.see(apart, 3.1)
    assert not any(clutch.see(touching("index"), 4 + t / 30) for t in range(30))
    assert not any(clutch.see(touching("middle"), 5.5 + t / 30) for t in range(30)), "a hand that points"
    assert not clutch.see(touching(), 7.0)
    assert not clutch.see(None, 7.4)
    assert not clutch.see(touching(), 7.6)
    assert clutch.see(touching(), 8.2)
