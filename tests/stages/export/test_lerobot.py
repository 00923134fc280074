"""A LeRobot data set: read by pyarrow and PyAV as it lies there, and by lerobot's own loader where that is installed.

The loader wants another NumPy and Hugging Face hub than this project: `HAMBA_LEROBOT_PYTHON` names a Python that has
it (docs/lerobot.md).
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hamba_core.errors import SourceError
from hamba_core.hand import MIRROR, exp_so3
from stages.export import ExportSettings, export, export_dataset
from stages.export.formats.lerobot.actions import read_actions
from stages.export.formats.lerobot.statistics import of_numbers, together
from stages.packets import FrameResult, HandEvent, RunInfo, WorldPose
from stages.recording import Recorder, read_recording
from stages.sources import source_for
from stages.world.trajectory import rotation_of

pq = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow: pip install pyarrow")

SOURCE = "synthetic:?seconds=1&fps=10&width=320&height=240"
CAMERA = "observation.images.camera"

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]
Record = Callable[..., Path]


@pytest.fixture
def record(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> Record:
    """record(name, hands for each frame) -> file of a run of SOURCE."""

    def make(name: str, hands: list[int], pts: list[float] | None = None, *, world: bool = False) -> Path:
        run = make_run(size=(320, 240), fps=10.0)
        run = replace(run, source=replace(run.source, name=SOURCE), settings={})
        recorder = Recorder(tmp_path / name / "hands.mcap")
        recorder.open(run)
        T = np.eye(4)
        T[:3, 3] = (1, 2, 3)
        for index, count in enumerate(hands):
            result = make_result(index, count, pts=pts[index] if pts else index / 10, size=(320, 240))
            events = tuple(HandEvent(h.track_id, h.side, "pinch", "hold", 0.75, 0.1) for h in result.hands[:1])
            frame = replace(result.frame, world=WorldPose(T, "file")) if world else result.frame
            recorder.write(replace(result, frame=frame, events=events))
        recorder.close()
        return tmp_path / name / "hands.mcap"

    return make


def exported(recording: Path, **settings: Any) -> Path:
    return export(recording, recording.parent, ExportSettings(formats=("lerobot",), **settings))[0]


def rows(dataset: Path, episode: int = 0) -> dict[str, Any]:
    table = pq.read_table(dataset / f"data/chunk-000/file-{episode:03d}.parquet")
    return {name: np.array(table[name].to_pylist()) for name in table.column_names}


def pictures(dataset: Path, episode: int = 0) -> list[Any]:
    with av.open(str(dataset / "videos" / CAMERA / f"chunk-000/file-{episode:03d}.mp4")) as video:
        return [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]


def test_rows_are_the_recorded_hands_and_pictures_are_those_of_the_same_frames(record: Record) -> None:
    recording = record("one", [2, 2, 1, 0, 2, 2, 2, 2, 2, 2])
    dataset = exported(recording, task="wave")
    table, seen, results = rows(dataset), pictures(dataset), list(read_recording(recording).results())
    source = source_for(SOURCE)
    source.open()
    true = [frame.image for frame in source.frames() if frame]
    source.close()
    assert len(table["index"]) == len(seen) == len(results) == 10
    for i, (result, picture) in enumerate(zip(results, seen, strict=True)):
        assert np.abs(picture.astype(float) - true[i]).mean() < 12
        for side in ("left", "right"):
            hand = next((hand for hand in result.hands if hand.side == side), None)
            name = f"observation.{side}"
            assert table[f"{name}.valid"][i] == (hand is not None)
            if hand is None:
                assert not table[f"{name}.joints"][i].any()
                continue
            np.testing.assert_allclose(table[f"{name}.joints"][i], hand.joints.ravel(), atol=1e-6)
            parameters = table[f"{name}.parameters"][i]
            np.testing.assert_allclose(exp_so3(parameters[:3]), hand.global_orient, atol=1e-5)
            np.testing.assert_allclose(exp_so3(parameters[3:48].reshape(15, 3)), hand.hand_pose, atol=1e-5)
            np.testing.assert_allclose(parameters[48:], [*hand.betas, *hand.translation], atol=1e-6)
            R = rotation_of(table[f"{name}.wrist"][i][3:])
            real = MIRROR @ hand.global_orient @ MIRROR if side == "left" else hand.global_orient
            np.testing.assert_allclose(R, real, atol=1e-5)
        first = result.hands[0].side if result.hands else None
        for side in ("left", "right"):
            assert table[f"observation.{side}.events"][i].tolist() == [0.75 * (side == first), 0, 0, 0, 0]
    np.testing.assert_allclose(table["timestamp"], np.arange(10) / 10, atol=1e-6)
    assert table["observation.state"].shape == (10, 140)
    info = json.loads((dataset / "meta/info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_frames"]) == ("v3.0", 10, 10)
    for key, described in info["features"].items():
        if described["dtype"] != "video":
            shape = table[key].shape[1:] or (1,)
            assert described["shape"] == list(shape)
            assert described["names"] is None or len(described["names"]) == shape[0]


def test_several_recordings_are_episodes_and_their_frames_are_counted_on(record: Record, tmp_path: Path) -> None:
    paths = [record("one", [2] * 10), record("two", [1] * 6)]
    dataset = export_dataset(paths, tmp_path / "set", ExportSettings(formats=("lerobot",), task="wave"))
    assert rows(dataset, 1)["index"].tolist() == list(range(10, 16))
    assert rows(dataset, 1)["episode_index"].tolist() == [1] * 6
    episodes = pq.read_table(dataset / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    assert [(e["dataset_from_index"], e["dataset_to_index"], e["tasks"]) for e in episodes] == [
        (0, 10, ["wave"]), (10, 16, ["wave"]),
    ]  # fmt: skip
    assert [e[f"videos/{CAMERA}/to_timestamp"] for e in episodes] == [1.0, 0.6]
    assert len(pictures(dataset, 1)) == 6
    numbers = np.concatenate([rows(dataset, i)["observation.state"] for i in range(2)]).astype(np.float64)
    told = json.loads((dataset / "meta/stats.json").read_text())["observation.state"]
    np.testing.assert_allclose(told["mean"], numbers.mean(0), atol=1e-6)
    np.testing.assert_allclose(told["std"], numbers.std(0), atol=1e-6)
    np.testing.assert_allclose(told["max"], numbers.max(0), atol=1e-6)


def test_frames_at_uneven_times_are_put_on_the_rate_and_none_is_invented(record: Record) -> None:
    recording = record("uneven", [2] * 6, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
    double = exported(recording, rate=20, video=False)
    table = rows(double)
    lefts = [hand for result in read_recording(recording).results() for hand in result.hands if hand.side == "left"]
    joints = np.array([hand.joints.ravel() for hand in lefts])
    nearest = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert len(table["timestamp"]) == 11
    np.testing.assert_allclose(table["timestamp"], np.arange(11) / 20, atol=1e-6)
    np.testing.assert_allclose(table["observation.left.joints"][::2], joints[nearest[::2]], atol=1e-6)
    assert not (double / "videos").exists()
    info = json.loads((double / "meta/info.json").read_text())
    assert info["video_path"] is None
    assert CAMERA not in info["features"]


def test_where_the_camera_stands_goes_along(record: Record) -> None:
    table = rows(exported(record("world", [1] * 3, world=True), video=False))
    np.testing.assert_allclose(table["observation.camera_in_world"], [[1, 1, 2, 3, 0, 0, 0, 1]] * 3, atol=1e-6)


@pytest.mark.parametrize(
    "arrays",
    [
        {"pts": np.array(["a", "b"]), "x": np.zeros(2)}, {"pts": np.array([0, np.nan]), "x": np.zeros(2)},
        {"pts": np.array([0.0, np.inf]), "x": np.zeros(2)}, {"pts": np.zeros(2), "x": np.array([0, 1e300])},
        {"pts": np.zeros(2), "x": np.array(["a", "b"])}, {"pts": np.zeros(2), "x": np.zeros((3, 2))},
        {"pts": np.zeros(2), "x": np.zeros(2, complex)}, {"pts": np.zeros(2), "x": np.zeros(2, [("a", "f8")])},
        {"pts": np.zeros(0), "x": np.zeros(0)}, {"pts": np.zeros(2, "M8[s]"), "x": np.zeros(2)},
    ],
)  # fmt: skip
def test_actions_that_are_none_are_refused_in_words(arrays: dict[str, Any], tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(SourceError, match=r"a\.npz: expected"):
        read_actions(tmp_path / "a.npz", ("x",))
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros(2))
    with pytest.raises(SourceError, match=r"found one \(\.npy\)"):
        read_actions(tmp_path / "a.npz", ("x",))


def test_names_of_actions_of_another_number_are_left_out(tmp_path: Path) -> None:
    arrays: dict[str, Any] = {"pts": np.zeros(1), "r/positions": np.zeros((1, 2)), "r/names": np.array("xy")}
    np.savez(tmp_path / "a.npz", **arrays)
    assert read_actions(tmp_path / "a.npz", ()).names == ("r.0", "r.1")


def test_a_robots_actions_are_taken_by_name_at_the_frames_times(record: Record, tmp_path: Path) -> None:
    pts = np.arange(0, 1, 0.05)
    arrays: dict[str, Any] = {
        "pts": pts, "right/positions": np.stack([pts, 2 * pts], 1), "right/names": np.array(["thumb", "index"]),
        "left/positions": -pts[:, None], "other": pts,
    }  # fmt: skip
    np.savez(tmp_path / "robot.npz", **arrays)
    recording = record("one", [2] * 10)
    table = rows(exported(recording, video=False, actions=tmp_path / "robot.npz", action=("right/positions",)))
    np.testing.assert_allclose(table["action"], np.stack([np.arange(10) / 10, np.arange(10) / 5], 1), atol=1e-6)
    info = json.loads((recording.parent / "hands-lerobot/meta/info.json").read_text())
    assert info["features"]["action"]["names"] == ["right.thumb", "right.index"]
    assert read_actions(tmp_path / "robot.npz", ()).names == ("left.0", "right.thumb", "right.index")
    (tmp_path / "robot.csv").write_text("pts,name,a,b\n0,x,1,2\n0.5,y,3,4\n")
    table_ = read_actions(tmp_path / "robot.csv", ())
    assert (table_.names, table_.at(0.45).tolist()) == (("a", "b"), [3, 4])
    with pytest.raises(SourceError, match=r"expected an action within 0\.1 s of every frame, found none near 0\.25"):
        table_.at(0.25)
    for chosen, message in ((("missing",), "expected arrays missing"), (("right/names",), "row for each")):
        with pytest.raises(SourceError, match=message):
            read_actions(tmp_path / "robot.npz", chosen)
    with pytest.raises(SourceError, match="expected columns c"):
        read_actions(tmp_path / "robot.csv", ("c",))
    (tmp_path / "gaps.csv").write_text("pts,track,a\n0,1,1\n0.5,,3\n")  # as a robot's, while its hand is unseen
    with pytest.raises(SourceError, match=r"column track, found '' in line 3; choose columns with --action"):
        read_actions(tmp_path / "gaps.csv", ())
    assert read_actions(tmp_path / "gaps.csv", ("a",)).values.tolist() == [[1], [3]]


def test_a_source_that_cannot_be_read_again_is_told(record: Record) -> None:
    recording = record("gone", [1] * 3)
    with pytest.raises(SourceError, match="no_such"):
        exported(recording, source="no_such.mp4")
    assert not (recording.parent / "hands-lerobot").exists()


def test_statistics_of_parts_are_those_of_the_whole() -> None:
    random = np.random.default_rng(0)
    parts = [random.normal(size=(n, 3)) for n in (5, 40)]
    found, whole = together([of_numbers(part) for part in parts]), of_numbers(np.concatenate(parts))
    for name in ("min", "max", "mean", "std", "count"):
        np.testing.assert_allclose(found[name], whole[name])


LOADER = """
import json, sys
from lerobot.datasets.lerobot_dataset import LeRobotDataset
dataset = LeRobotDataset("local/hands", root=sys.argv[1])
items = [dataset[i] for i in (0, 12)]
print(json.dumps([len(dataset), dataset.num_episodes, *[
    [item["task"], item["episode_index"].item(), item["observation.right.valid"].item(),
     item["observation.state"].tolist(), list(item["observation.images.camera"].shape),
     item["observation.images.camera"].mean().item()] for item in items]]))
"""


def test_lerobots_own_loader_opens_it(record: Record, tmp_path: Path) -> None:
    python = os.environ.get("HAMBA_LEROBOT_PYTHON", sys.executable)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "PYTHONPATH": ""}
    asked = subprocess.run([python, "-c", "import lerobot"], capture_output=True, env=environment, check=False)
    if asked.returncode:
        pytest.skip("needs lerobot, in a Python of its own that HAMBA_LEROBOT_PYTHON names (docs/lerobot.md)")
    paths = [record("one", [2] * 10), record("two", [1] * 6)]
    dataset = export_dataset(paths, tmp_path / "set", ExportSettings(formats=("lerobot",), task="wave"))
    done = subprocess.run(
        [python, "-c", LOADER, str(dataset)], capture_output=True, text=True, env=environment, timeout=110, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    frames, episodes, first, later = json.loads(done.stdout.splitlines()[-1])
    assert (frames, episodes) == (16, 2)
    for (task, episode, valid, state, shape, mean), (which, row) in ((first, (0, 0)), (later, (1, 2))):
        assert (task, episode, shape) == ("wave", which, [3, 240, 320])
        assert valid == bool(rows(dataset, which)["observation.right.valid"][row])
        np.testing.assert_allclose(state, rows(dataset, which)["observation.state"][row], atol=1e-6)
        assert abs(mean - pictures(dataset, which)[row].mean() / 255) < 0.02
