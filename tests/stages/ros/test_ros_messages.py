"""Hands as ROS 2 messages: rosbags' type system takes them, and frames are where the joints are."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hamba_core.hand import SIDES, Side, to_quaternion
from hamba_core.hand.rotations import angle_between
from stages.common.openxr_joints import JOINTS, poses_26, rotations_21
from stages.packets import FrameResult, Hand, HandTopology, WorldPose
from stages.ros import RosNames, RosValue, joint_state, messages_of, topics_of
from stages.ros.messages import joint_poses, ros_name

MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
STAMP = 1_700_000_000_123_456_789


@pytest.fixture(scope="module")
def store() -> Any:
    pytest.importorskip("rosbags", reason="needs rosbags: pip install 'hamba-stream[ros]'")
    from rosbags.typesys import Stores, get_typestore

    return get_typestore(Stores.ROS2_JAZZY)


def read_back(store: Any, value: RosValue) -> Any:
    from stages.export.formats.rosbag import rosbags_message

    return store.deserialize_cdr(store.serialize_cdr(rosbags_message(value, store), value.type), value.type)


def test_rosbags_types_take_every_message(
    store: Any, make_result: MakeResult, topology: HandTopology, make_hand: MakeHand
) -> None:
    result = make_result(4)
    names = RosNames("desk.cam-1")
    kinds = {topic.name: topic.type for topic in topics_of(names)}
    found = dict(messages_of(result, topology, names, STAMP))
    assert set(found) == set(kinds)
    for topic, value in found.items():
        assert value.type == kinds[topic]
    right = result.hands[0]
    array = read_back(store, found["/desk_cam_1/right/joints"])
    assert (array.header.stamp.sec, array.header.stamp.nanosec) == (1_700_000_000, 123_456_789)
    assert array.header.frame_id == "desk_cam_1_camera_optical_frame"
    places = [[pose.position.x, pose.position.y, pose.position.z] for pose in array.poses]
    np.testing.assert_allclose(places, right.joints, atol=1e-6)
    mesh = read_back(store, found["/desk_cam_1/left/mesh"])
    assert len(mesh.points) % 3 == 0
    corners = np.array([[point.x, point.y, point.z] for point in mesh.points]).reshape(-1, 3, 3)
    left = result.hands[1]
    np.testing.assert_allclose(corners.reshape(-1, 3).min(0), left.vertices.min(0), atol=1e-6)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    outward = ((corners.mean(1) - left.vertices.mean(0)) * normals).sum(1)
    assert (outward > 0).mean() > 0.6, "triangles look outward"
    info = read_back(store, found["/desk_cam_1/camera_info"])
    camera = result.frame.camera
    np.testing.assert_allclose(info.k, np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1], float))
    assert (info.width, info.height) == (640, 480)


def test_frames_hang_together_so_that_each_joint_is_where_it_is(
    store: Any, make_result: MakeResult, topology: HandTopology
) -> None:
    result, names = make_result(2), RosNames("cam", parent="head_camera")
    tf = read_back(store, dict(messages_of(result, None, names, STAMP))["/tf"])
    assert len(tf.transforms) == 42
    frames: dict[str, Any] = {"head_camera": np.eye(4)}
    for each in tf.transforms:
        T = np.eye(4)
        q, t = each.transform.rotation, each.transform.translation
        x, y, z, w = q.x, q.y, q.z, q.w
        T[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
        T[:3, 3] = [t.x, t.y, t.z]
        frames[each.child_frame_id] = frames[each.header.frame_id] @ T
    for hand in result.hands:
        for joint in range(21):
            T = frames[names.joint_frame(hand.side, joint)]
            np.testing.assert_allclose(T[:3, 3], hand.joints[joint], atol=1e-6)
            if joint % 4 and joint > 4:
                along = hand.joints[joint + 1] - hand.joints[joint]
                assert T[:3, 0] @ along / np.linalg.norm(along) > 0.999


@pytest.mark.parametrize("side", SIDES)
def test_a_joints_z_is_out_of_the_back_of_the_hand(side: Side, make_hand: MakeHand) -> None:
    hand = make_hand(0, side)
    poses = joint_poses(hand)
    np.testing.assert_allclose(
        poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1), np.eye(3) + np.zeros((21, 3, 3)), atol=1e-6
    )
    assert np.linalg.det(poses[:, :3, :3]) == pytest.approx(1)
    across = hand.joints[5] - hand.joints[13]
    palm = np.cross(across, hand.joints[9] - hand.joints[0]) * (1 if side == "right" else -1)
    back = -palm / np.linalg.norm(palm)
    assert (poses[[0, 5, 9, 13, 17], :3, 2] @ back > 0.5).all()


@pytest.mark.parametrize("side", SIDES)
def test_bones_are_turned_as_the_hand_model_turns_them(side: Side, make_hand: MakeHand) -> None:
    """Bent further by a quarter turn at one joint, that joint's bones turn by a quarter, and no other."""
    from hamba_core.hand import exp_so3

    hand = make_hand(3, side)
    pose = hand.hand_pose.copy()
    pose[0] = pose[0] @ exp_so3([0, 0, np.pi / 2])
    turned = replace(hand, hand_pose=pose)
    angles = angle_between(rotations_21(hand), rotations_21(turned))
    assert angles[5:9] == pytest.approx(np.pi / 2, abs=1e-3)
    assert np.delete(angles, [5, 6, 7, 8]) == pytest.approx(0, abs=1e-3)


def test_openxrs_joints_of_a_packet_are_those_of_its_export(make_hand: MakeHand) -> None:
    for side in SIDES:
        hand = make_hand(1, side)
        places, rotations = poses_26(hand)
        np.testing.assert_allclose(places[JOINTS.index("INDEX_TIP")], hand.joints[8], atol=1e-6)
        assert np.linalg.det(rotations) == pytest.approx(1)
        along = places[JOINTS.index("INDEX_DISTAL")] - places[JOINTS.index("INDEX_INTERMEDIATE")]
        z = rotations[JOINTS.index("INDEX_INTERMEDIATE"), :, 2]
        assert -z @ along / np.linalg.norm(along) > 0.999


def test_hands_that_went_lose_their_mesh_and_frames_without_hands_have_a_camera(
    make_result: MakeResult, make_hand: MakeHand, topology: HandTopology, store: Any
) -> None:
    gone = make_hand(0, "left")
    found = dict(messages_of(make_result(0, ()), topology, RosNames("cam"), STAMP, [gone]))
    assert set(found) == {"/cam/camera_info", "/cam/left/mesh"}
    assert read_back(store, found["/cam/left/mesh"]).action == 2


def test_the_cameras_place_in_the_world_is_a_transform(make_result: MakeResult) -> None:
    T = np.array([[0.0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]])
    result = make_result(0, ())
    result = replace(result, frame=replace(result.frame, world=WorldPose(T, "board")))
    tf = dict(messages_of(result, None, RosNames("cam"), STAMP))["/tf"]
    [transform] = tf.fields["transforms"]
    assert transform.fields["header"].fields["frame_id"] == "world"
    assert transform.fields["child_frame_id"] == "cam_camera_optical_frame"
    rotation = transform.fields["transform"].fields["rotation"].fields
    np.testing.assert_allclose([rotation[name] for name in "xyzw"], to_quaternion(T[:3, :3]))


def test_robot_joints_are_a_joint_state(store: Any) -> None:
    state = read_back(store, joint_state(["a", "b"], np.array([0.5, 1]), np.array([0, -1.0]), "cam", STAMP))
    assert (state.name, state.position.tolist(), state.velocity.tolist()) == (["a", "b"], [0.5, 1], [0, -1])


def test_names_are_such_as_ros_takes() -> None:
    assert [ros_name(text) for text in ("desk.cam-1", "0", "", "..", "a b")] == [
        "desk_cam_1",
        "s0",
        "hands",
        "hands",
        "a_b",
    ]
