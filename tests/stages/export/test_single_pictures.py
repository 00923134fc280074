"""Exports of single pictures: every form says which picture a hand is in."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hamba_core.errors import ConfigurationError, SourceError
from stages.export import ExportSettings, export
from stages.packets import FrameResult, RunInfo
from stages.recording import Recorder

NAMES = ["a, first.jpg", "none.jpg", "b.png"]
HANDS = [2, 0, 1]
SIZES = [(640, 480), (300, 200), (480, 640)]


@pytest.fixture(scope="module")
def recording(
    make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two hands in the first picture, none in the second, one in the third; each hand is a track of its own."""
    run, track = make_run(fps=None), 0
    recorder = Recorder(tmp_path_factory.mktemp("stills") / "hands.mcap")
    recorder.open(replace(run, source=replace(run.source, kind="images", stills=True)))
    for index, (name, count, size) in enumerate(zip(NAMES, HANDS, SIZES, strict=True)):
        result = make_result(index, count, size=size, seed=10 * index)
        hands = tuple(replace(hand, track_id=track + i) for i, hand in enumerate(result.hands, 1))
        track += count
        recorder.write(replace(result, frame=replace(result.frame, name=name), hands=hands))
    recorder.close()
    return recorder._path


def test_arrays_are_over_all_pictures(recording: Path, tmp_path: Path, make_result: Callable[..., FrameResult]) -> None:
    export(recording, tmp_path, ExportSettings(formats=("npz",)))
    arrays = np.load(tmp_path / "hands.npz")
    assert arrays["pictures"].tolist() == NAMES
    assert arrays["sizes"].tolist() == [list(size) for size in SIZES]
    assert arrays["picture"].tolist() == [0, 0, 2]
    assert arrays["side"].tolist() == ["right", "left", "right"]
    shown = [make_result(index, HANDS[index], size=SIZES[index], seed=10 * index) for index in (0, 2)]
    expected = [hand for result in shown for hand in result.hands]
    for name in ("joints", "vertices", "betas", "hand_pose", "joints_2d", "box"):
        np.testing.assert_array_equal(arrays[name], [getattr(hand, name) for hand in expected])
    camera = arrays["cameras"][2]
    assert camera[2:].tolist() == [240, 320]
    assert str(arrays["hand_model"]) == "generic"


def test_a_video_is_drawn_over_the_pictures_of_a_folder_by_their_names(recording: Path, tmp_path: Path) -> None:
    import av
    import cv2

    greys = {}
    for number, (name, (width, height)) in enumerate(zip(NAMES, SIZES, strict=True)):
        greys[name] = 60 * (number + 1)
        cv2.imwrite(str(tmp_path / name), np.full((height, width, 3), greys[name], np.uint8))
    cv2.imwrite(str(tmp_path / "another.png"), np.zeros((50, 50, 3), np.uint8))
    export(recording, tmp_path / "out", ExportSettings(formats=("mp4",), source=str(tmp_path)))
    with av.open(str(tmp_path / "out" / "hands.mp4")) as video:
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(shown) == 3
    for name, picture in zip(NAMES, shown, strict=True):
        assert abs(int(np.median(picture[100:-100, 240:400])) - greys[name]) < 12
    (tmp_path / NAMES[1]).unlink()
    with pytest.raises(SourceError, match=r"none\.jpg"):
        export(recording, tmp_path / "out", ExportSettings(formats=("mp4",), source=str(tmp_path), overwrite=True))


def test_tables_and_joints_have_names_in_the_place_of_times(recording: Path, tmp_path: Path) -> None:
    export(recording, tmp_path, ExportSettings(formats=("csv", "openxr")))
    with (tmp_path / "hands.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == ["a, first.jpg", "a, first.jpg", "b.png"]
    assert "pts" not in rows[0]
    lines = [json.loads(line) for line in (tmp_path / "hands.openxr.jsonl").read_text().splitlines()][1:]
    assert [(line["picture"], len(line["hands"])) for line in lines] == [("a, first.jpg", 2), ("b.png", 1)]
    assert "pts" not in lines[0]


def test_files_of_hands_are_named_for_their_pictures(recording: Path, tmp_path: Path) -> None:
    export(recording, tmp_path, ExportSettings(formats=("ply", "bvh", "usd", "glb")))
    assert sorted(path.name for path in (tmp_path / "hands-ply").iterdir()) == [
        "a, first.jpg-1-right.ply", "a, first.jpg-2-left.ply", "b.png-3-right.ply",
    ]  # fmt: skip
    assert {path.name for path in (tmp_path / "hands-bvh").iterdir()} >= {"b.png_hand_3_right.bvh"}
    assert b"b.png hand 3 right" in (tmp_path / "hands.glb").read_bytes()
    assert (tmp_path / "hands.usdc").stat().st_size > 1000


@pytest.mark.parametrize("times", [{"start": 0.0}, {"end": 1.0}, {"rate": 60.0}])
def test_single_pictures_have_no_times(recording: Path, tmp_path: Path, times: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=rf"--{next(iter(times))}: .*single pictures, which have no times"):
        export(recording, tmp_path, ExportSettings(formats=("csv",), **times))
