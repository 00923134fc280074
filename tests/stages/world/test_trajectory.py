"""Trajectories, pose files and topics: where a camera is between poses, before, after, and far from any."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zmq
from hypothesis import given, strategies as st

from hamba_core.arrays import Array
from hamba_core.errors import SourceError
from hamba_core.hand import exp_so3, log_so3
from hamba_core.view import Intrinsics
from stages.packets import Frame, FrameMeta
from stages.world.pose_file import read_pose
from stages.world.topic import Told
from stages.world.trajectory import LONGEST_STEP, Trajectory, pose_of_line, read_trajectory, rotation_of

VECTOR = st.lists(st.floats(-2, 2), min_size=3, max_size=3).map(np.array)


def pose(turn: Array, place: Array) -> Array:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = exp_so3(turn), place
    return T


def quaternion(turn: Array) -> Array:
    angle = float(np.linalg.norm(turn))
    axis = turn / angle if angle else turn
    return np.append(np.sin(angle / 2) * axis, np.cos(angle / 2))


def line(moment: float, turn: Array, place: Array) -> str:
    return " ".join(repr(float(value)) for value in (moment, *place, *quaternion(turn)))


@given(VECTOR, VECTOR)
def test_a_line_is_read_as_the_pose_that_it_was_written_from(turn: Array, place: Array) -> None:
    moment, T = pose_of_line(line(1.5, turn, place))
    assert moment == 1.5
    np.testing.assert_allclose(T, pose(turn, place), atol=1e-9)
    np.testing.assert_allclose(rotation_of(-quaternion(turn)), T[:3, :3], atol=1e-9)


@given(VECTOR, VECTOR, VECTOR, VECTOR, st.floats(0, 1))
def test_between_two_poses_place_and_rotation_go_evenly(a: Array, b: Array, p: Array, q: Array, share: float) -> None:
    first, second = pose(a, p), pose(b, q)
    trajectory = Trajectory(np.array([0.0, 0.2]), np.array([first, second]))
    found = trajectory.at(0.2 * share)
    assert found is not None
    T, off = found
    assert off == 0
    np.testing.assert_allclose(T[:3, 3], (1 - share) * p + share * q, atol=1e-9)
    np.testing.assert_allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-9)
    whole = np.linalg.norm(log_so3(first[:3, :3].T @ second[:3, :3]))
    if whole < 3:  # nearer to half a turn, two ways are equally short
        np.testing.assert_allclose(np.linalg.norm(log_so3(first[:3, :3].T @ T[:3, :3])), share * whole, atol=1e-6)


def test_beyond_its_ends_and_in_gaps_the_nearest_pose_is_told_with_how_far_off_it_is() -> None:
    poses = [pose(np.zeros(3), np.full(3, x)) for x in (0.0, 1.0, 2.0)]
    trajectory = Trajectory(np.array([0.0, 0.1, 0.1 + 2 * LONGEST_STEP]), np.array(poses))
    told = {moment: trajectory.at(moment) for moment in (-1.0, 0.1 + 0.3, 5.0)}
    assert [(found[0][0, 3], round(found[1], 6)) for found in told.values() if found] == [(0, 1), (1, 0.3), (2, 3.9)]
    assert Trajectory(np.zeros(0), np.zeros((0, 4, 4))).at(0) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected poses"),
        ("# a remark\n\n", "expected poses"),
        ("0 0 0 0 0 0 0", "line 1: expected eight numbers"),
        ("0 0 0 0 0 0 0 1\n1 0 0 0 0 0 0 2", "line 2: expected a quaternion of length 1"),
        ("0 0 0 0 0 0 nan 1", "eight numbers"),
        ("0 0 0 0 0 0 0 1\n0 1 0 0 0 0 0 1", "expected one pose at each time"),
    ],
)
def test_a_file_that_is_no_trajectory_is_refused_in_words(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "poses.txt"
    path.write_text(text)
    with pytest.raises(SourceError, match=message):
        read_trajectory(path)


def test_lines_out_of_order_are_put_in_order(tmp_path: Path) -> None:
    path = tmp_path / "poses.txt"
    path.write_text("# time tx ty tz qx qy qz qw\n2 2 0 0 0 0 0 1\n1, 1, 0, 0, 0, 0, 0, 1\n")
    trajectory = read_trajectory(path)
    assert trajectory.times.tolist() == [1, 2]
    assert trajectory.poses[:, 0, 3].tolist() == [1, 2]


def test_a_pose_file_has_one_camera_or_several_by_stream(tmp_path: Path) -> None:
    path = tmp_path / "poses.yaml"
    path.write_text("T_world_camera: [[1,0,0,0.5],[0,0,1,0],[0,-1,0,2],[0,0,0,1]]\n")
    assert read_pose(path, "hands")[:3, 3].tolist() == [0.5, 0, 2]
    eye = "[[1,0,0,{}],[0,1,0,0],[0,0,1,0],[0,0,0,1]]"
    path.write_text("".join(["cameras:\n", *(f"  hands-{i}: {{T_world_camera: {eye.format(i)}}}\n" for i in (1, 2))]))
    assert read_pose(path, "hands-2")[0, 3] == 2
    with pytest.raises(SourceError, match=r"camera of stream 'hands-3' among cameras, found hands-1, hands-2"):
        read_pose(path, "hands-3")


@pytest.mark.parametrize(
    "text", ["[]", "T_world_camera: 3", "T_world_camera: [[2,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]"]
)
def test_a_pose_file_without_a_rigid_pose_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "pose.yaml"
    path.write_text(text)
    with pytest.raises(SourceError, match="expected T_world_camera, four rows"):
        read_pose(path, "hands")


def test_poses_of_a_topic_count_for_frames_of_their_time(tmp_path: Path, until: Callable[..., None]) -> None:
    address, now = f"ipc://{tmp_path}/poses", 1_700_000_000.0
    with zmq.Context() as context, context.socket(zmq.PUB) as publisher:
        publisher.linger = 0
        publisher.bind(address)
        told = Told(address, max_age=0.5, wall=lambda: now, clock=lambda: 10_000_000_000)
        told.open()

        def at(seconds: float) -> Frame:
            captured = 10_000_000_000 + round(seconds * 1e9)
            meta = FrameMeta("hands", 0, 0.0, captured, 4, 3, Intrinsics(600, 600, 2, 1.5))
            return Frame(meta, np.zeros((3, 4, 3), np.uint8))

        assert told.pose(at(0)) is None
        assert told.choices()[-1].subject == "world lost"

        def heard() -> bool:
            for text in ("rubbish", line(now, np.zeros(3), np.zeros(3)), line(now + 0.2, np.zeros(3), np.ones(3))):
                publisher.send_multipart([b"camera", text.encode()])
            time.sleep(0.01)
            return told.pose(at(0.1)) is not None

        until(heard)
        middle, late, gone = told.pose(at(0.1)), told.pose(at(0.5)), told.pose(at(1.0))
        assert middle is not None
        assert late is not None
        np.testing.assert_allclose(middle.T_world_camera[:3, 3], 0.5, atol=1e-4)
        assert (middle.origin, middle.seen, middle.age) == ("topic", True, 0)
        assert (late.seen, round(late.age, 3)) == (False, 0.3)
        assert gone is None
        assert "world poses" in [choice.subject for choice in told.choices()]
        told.close()


@pytest.mark.parametrize(
    "text", ["0 1e300 0 0 0 0 0 1", "0 0 0 0 1e300 0 0 1", "nan 0 0 0 0 0 0 1", "0 0 0 0 0 0 0 1 2", "9" * 400]
)
def test_a_line_of_a_topic_that_no_frame_could_carry_is_refused(text: str) -> None:
    told = Told("ipc:///nobody", max_age=0.5, wall=lambda: 0.0, clock=lambda: 0)
    told._take(text)
    told._take(line(0, np.zeros(3), np.ones(3)))
    frame = Frame(FrameMeta("hands", 0, 0.0, 0, 4, 3, Intrinsics(600, 600, 2, 1.5)), np.zeros((3, 4, 3), np.uint8))
    found = told.pose(frame)
    assert found is not None
    assert found.T_world_camera[:3, 3].tolist() == [1, 1, 1]
    assert "world poses" in [choice.subject for choice in told.choices()]
