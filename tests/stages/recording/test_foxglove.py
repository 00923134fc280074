"""What Foxglove finds in a recording: meshes, skeletons and the camera, where they are."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.FrameTransform_pb2 import FrameTransform
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from stages.assets.make.foxglove_schemas import SCHEMAS_FILE, make_schemas
from stages.packets import Hand, WorldPose
from stages.recording import Recorder, RecordingSettings
from tests.stages.recording.recordings import MakeResult, MakeRun, read_by_mcap, record


def test_foxglove_sees_the_meshes_and_skeletons_where_they_are(
    recorded: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    topology = make_run().topology
    for i, (schema, channel, message) in enumerate(read_by_mcap(recorded, "scene/hands")):
        assert (channel.message_encoding, schema.name) == ("protobuf", "foxglove.SceneUpdate")
        scene = SceneUpdate.FromString(message.data)
        hands = make_result(i, hands=i % 3).hands
        assert [entity.id for entity in scene.entities] == [f"hand {hand.track_id}" for hand in hands]
        for entity, hand in zip(scene.entities, hands, strict=True):
            assert entity.frame_id == "camera"
            mesh = entity.triangles[0]
            position = mesh.pose.position
            wrist = np.array([position.x, position.y, position.z])
            points = wrist + [(p.x, p.y, p.z) for p in mesh.points]
            assert np.abs(points - hand.vertices).max() < 1e-4
            np.testing.assert_array_equal(np.reshape(mesh.indices, (-1, 3)), topology.faces_of(hand.side))
            lines = entity.lines[0]
            joints = np.array([(p.x, p.y, p.z) for p in lines.points])
            assert np.abs(joints - hand.joints).max() < 1e-4
            assert (len(lines.indices), len(lines.colors), lines.scale_invariant) == (40, 21, True)


def test_foxglove_is_told_which_hands_are_gone(recorded: Path) -> None:
    scenes = [SceneUpdate.FromString(message.data) for _, _, message in read_by_mcap(recorded, "scene/hands")]
    # Hands go 0, 1, 2, 0, 1, 2...
    assert [[deletion.id for deletion in scene.deletions] for scene in scenes[:4]] == [[], [], [], ["hand 1", "hand 2"]]


def test_foxglove_knows_the_camera_and_stands_it_upright(recorded: Path, make_run: MakeRun) -> None:
    calibration = CameraCalibration.FromString(read_by_mcap(recorded, "camera/hands")[0][2].data)
    np.testing.assert_array_equal(np.reshape(calibration.K, (3, 3)), make_run().source.camera.matrix)
    assert (calibration.width, calibration.height, len(calibration.P), len(calibration.R)) == (640, 480, 12, 9)
    transform = FrameTransform.FromString(read_by_mcap(recorded, "transform/hands")[0][2].data)
    assert (transform.parent_frame_id, transform.child_frame_id) == ("world", "camera")
    x, y, z, w = (getattr(transform.rotation, name) for name in "xyzw")
    up_in_camera = np.array([0.0, -1, 0])
    cross = np.cross([x, y, z], up_in_camera)
    up = up_in_camera + 2 * w * cross + 2 * np.cross([x, y, z], cross)
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-12)


def test_foxglove_is_told_where_the_camera_stands_whenever_it_moves(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    recorder = Recorder(tmp_path / "hands.mcap")
    recorder.open(make_run())
    T = np.array([[0.0, -1, 0, 0.5], [1, 0, 0, -2], [0, 0, 1, 3], [0, 0, 0, 1]])
    here, there = WorldPose(np.eye(4), "file"), WorldPose(T, "file")
    for index, world in enumerate([here, here, there]):
        result = make_result(index, 1)
        recorder.write(replace(result, frame=replace(result.frame, world=world)))
    recorder.close()
    told = [FrameTransform.FromString(m.data) for _, _, m in read_by_mcap(tmp_path / "hands.mcap", "transform/hands")]
    assert len(told) == 3, "level at first, then here, then there"
    place, turn = told[2].translation, told[2].rotation
    np.testing.assert_allclose([place.x, place.y, place.z], [0.5, -2, 3])
    np.testing.assert_allclose([turn.x, turn.y, turn.z, turn.w], [0, 0, 0.5**0.5, 0.5**0.5], atol=1e-12)


def test_the_schemas_shipped_are_foxgloves() -> None:
    assert SCHEMAS_FILE.read_bytes() == make_schemas()
    assert FileDescriptorSet.FromString(SCHEMAS_FILE.read_bytes()).file


def test_without_a_scene_there_are_no_foxglove_channels(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    path = record(tmp_path / "a.mcap", make_run(), [make_result()], RecordingSettings(scene="none"))
    assert {channel.topic for _, channel, _ in read_by_mcap(path)} == {"hands/hands", "model/hands", "status/hands"}


def test_a_hand_without_vertices_has_a_skeleton_in_the_scene(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, make_hand: Callable[..., Hand]
) -> None:
    path = record(tmp_path / "a.mcap", make_run(), [make_result(hands=(make_hand(vertices=False),))])
    entity = SceneUpdate.FromString(read_by_mcap(path, "scene/hands")[0][2].data).entities[0]
    assert (len(entity.triangles), len(entity.lines)) == (0, 1)
