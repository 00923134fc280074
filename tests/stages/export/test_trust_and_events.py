"""Visibility, events and the world in recordings and in what is exported from them."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hamba_core.arrays import Array
from hamba_core.hand import exp_so3
from stages.export import ExportSettings, export
from stages.packets import EVENT_KINDS, FrameResult, HandEvent, RunInfo, WorldPose
from stages.recording import Recorder, read_recording

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]


def turned(angle: float) -> Array:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = exp_so3(np.array([0, 0, angle])), (angle, 0, 1)
    return T


@pytest.fixture
def recording(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> Path:
    """Five frames of two hands: the first pinches in the middle three, the camera turns, and is lost in the last."""
    recorder = Recorder(tmp_path / "hands.mcap")
    recorder.open(make_run(fps=10.0))
    for index in range(5):
        result = make_result(index, 2, pts=index / 10)
        first, second = result.hands
        phase = {1: "start", 2: "hold", 3: "hold", 4: "end"}.get(index)
        events = (HandEvent(first.track_id, first.side, "pinch", phase, 0.8, 0.1),) if phase else ()  # type: ignore[arg-type]
        world = WorldPose(turned(index / 10), "trajectory") if index < 4 else None
        hands = (replace(first, visibility=np.linspace(0, 1, 21, dtype=np.float32)), second)
        recorder.write(replace(result, hands=hands, events=events, frame=replace(result.frame, world=world)))
    recorder.close()
    return tmp_path / "hands.mcap"


def test_a_recording_keeps_visibility_events_and_the_world(recording: Path) -> None:
    results = list(read_recording(recording).results())
    assert [[event.phase for event in result.events] for result in results] == [
        [],
        ["start"],
        ["hold"],
        ["hold"],
        ["end"],
    ]
    worlds = [result.frame.world for result in results]
    assert worlds[4] is None
    assert worlds[2] is not None
    np.testing.assert_allclose(worlds[2].T_world_camera, turned(0.2), atol=1e-12)
    visibility = results[0].hands[0].visibility
    assert visibility is not None
    np.testing.assert_allclose(visibility, np.linspace(0, 1, 21), atol=1e-6)


def test_arrays_have_them_row_by_row(recording: Path) -> None:
    result = next(read_recording(recording).results())
    name = f"{result.hands[0].track_id}_{result.hands[0].side}"
    (path,) = export(recording, recording.parent, ExportSettings(formats=("npz",)))
    with np.load(path) as data:
        assert data["event_names"].tolist() == list(EVENT_KINDS)
        pinch = data[f"{name}/events"][:, EVENT_KINDS.index("pinch")]
        np.testing.assert_allclose(pinch, [0, 0.8, 0.8, 0.8, 0], atol=1e-6)
        np.testing.assert_allclose(data[f"{name}/visibility"][3], np.linspace(0, 1, 21), atol=1e-6)
        T = data[f"{name}/T_world_camera"]
        np.testing.assert_allclose(T[1], turned(0.1), atol=1e-12)
        assert np.isnan(T[4]).all()
        other = f"{result.hands[1].track_id}_{result.hands[1].side}"
        assert np.isnan(data[f"{other}/visibility"]).all()
        assert not data[f"{other}/events"].any()


def test_resampled_rows_have_events_or_not_and_poses_between(recording: Path) -> None:
    result = next(read_recording(recording).results())
    name = f"{result.hands[0].track_id}_{result.hands[0].side}"
    (path,) = export(recording, recording.parent, ExportSettings(formats=("npz",), rate=20))
    with np.load(path) as data:
        pinch = data[f"{name}/events"][:, EVENT_KINDS.index("pinch")]
        assert {round(value, 3) for value in pinch.tolist()} == {0.0, 0.8}
        np.testing.assert_allclose(data[f"{name}/T_world_camera"][3], turned(0.15), atol=1e-9)


def test_a_table_names_what_a_hand_does_and_has_its_joints_in_the_world(recording: Path) -> None:
    results = list(read_recording(recording).results())
    (path,) = export(recording, recording.parent, ExportSettings(formats=("csv",)))
    with path.open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["side"] == results[0].hands[0].side]
    assert [line["events"] for line in lines] == ["", "pinch", "pinch", "pinch", ""]
    assert [float(lines[0][f"{joint}_visibility"]) for joint in ("wrist", "little_4")] == [0, 1]
    world = results[3].frame.world
    assert world is not None
    tip = world.points(results[3].hands[0].joints[8])
    np.testing.assert_allclose([float(lines[3][f"index_4_{axis}_world"]) for axis in "xyz"], tip, atol=2e-6)
    assert lines[4]["index_4_x_world"] == ""


def test_a_table_without_a_world_has_no_columns_for_it(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    recorder = Recorder(tmp_path / "hands.mcap")
    recorder.open(make_run())
    recorder.write(make_result(0, 1))
    recorder.close()
    (path,) = export(tmp_path / "hands.mcap", tmp_path, ExportSettings(formats=("csv",)))
    head, line = path.read_text().splitlines()
    assert "_world" not in head
    assert head.count(",") == line.count(",")
