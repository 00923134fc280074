"""A ROS 2 bag, read back by rosbags: every frame, stamped by the source's time, with definitions in the file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamba_core.hand import load_generic_hand
from stages.export import ExportSettings, export
from stages.packets import Hand

pytest.importorskip("rosbags", reason="needs rosbags: pip install 'hamba-stream[ros]'")

PoseHand = Callable[..., Hand]
MakeRecording = Callable[..., Path]
TOPICS = {
    "/tf",
    "/hands/camera_info",
    *(f"/hands/{side}/{rest}" for side in ("left", "right") for rest in ("joints", "mesh")),
}


@pytest.fixture(scope="module")
def frames(pose_hand: PoseHand) -> list[tuple[Hand, ...]]:
    model = load_generic_hand()
    right = [pose_hand(model, seed, "right", track_id=1) for seed in range(4)]
    left = [pose_hand(model, seed + 9, "left", track_id=2) for seed in range(2)]
    return [(right[0],), (right[1], left[0]), (left[1],), (right[3],)]


def test_a_bag_has_what_was_recorded(
    frames: list[tuple[Hand, ...]], make_recording: MakeRecording, tmp_path: Path
) -> None:
    from rosbags.highlevel import AnyReader

    recording = make_recording(load_generic_hand(), frames)
    [bag] = export(recording, tmp_path, ExportSettings(formats=("rosbag",)))
    assert bag.name == "hands-rosbag"
    assert {file.suffix for file in bag.iterdir()} == {".mcap", ".yaml"}
    with AnyReader([bag]) as reader:  # the file's own definitions, no type store
        assert set(reader.topics) == TOPICS
        messages: list[tuple[str, int, Any]] = [
            (connection.topic, stamp, reader.deserialize(raw, connection.msgtype))
            for connection, stamp, raw in reader.messages()
        ]
        by_topic = {name: [(t, m) for topic, t, m in messages if topic == name] for name in TOPICS}
    stamps = [stamp for stamp, _ in by_topic["/hands/camera_info"]]
    np.testing.assert_allclose(np.diff(stamps), 1e9 / 30, atol=2)
    rights = [hand for hands in frames for hand in hands if hand.side == "right"]
    assert len(by_topic["/hands/right/joints"]) == len(rights)
    for (stamp, array), hand in zip(by_topic["/hands/right/joints"], rights, strict=True):
        assert array.header.stamp.sec * 10**9 + array.header.stamp.nanosec == stamp
        places = [[pose.position.x, pose.position.y, pose.position.z] for pose in array.poses]
        np.testing.assert_allclose(places, hand.joints, atol=1e-4)
    # The right hand goes in the third frame and comes back in the fourth.
    assert [marker.action for _, marker in by_topic["/hands/right/mesh"]] == [0, 0, 2, 0]


def test_only_what_was_chosen_is_in_a_bag(
    frames: list[tuple[Hand, ...]], make_recording: MakeRecording, tmp_path: Path
) -> None:
    from rosbags.rosbag2 import Reader

    recording = make_recording(load_generic_hand(), frames)
    settings = ExportSettings(formats=("rosbag",), side="left", start=0.03)
    [bag] = export(recording, tmp_path, settings)
    with Reader(bag) as reader:
        counts = {connection.topic: connection.msgcount for connection in reader.connections}
        more: Any = next(c for c in reader.connections if c.topic == "/hands/left/joints").ext
        [qos] = more.offered_qos_profiles
        assert qos.reliability.name == "BEST_EFFORT"
    assert counts["/hands/camera_info"] == 3
    assert counts["/hands/right/joints"] == 0
    assert counts["/hands/left/joints"] == 2


def test_the_example_reads_a_bag(frames: list[tuple[Hand, ...]], make_recording: MakeRecording, tmp_path: Path) -> None:
    import subprocess
    import sys

    [bag] = export(make_recording(load_generic_hand(), frames), tmp_path, ExportSettings(formats=("rosbag",)))
    example = Path(__file__).parents[3] / "docs/examples/07_read_rosbag.py"
    done = subprocess.run([sys.executable, str(example), str(bag)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    x, y, z = frames[0][0].joints[8]
    assert f"/hands/right/joints: index finger's tip at ({x:.3f} {y:.3f} {z:.3f}) m" in done.stdout
