"""`hamba export` as a person and a program use it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.commands.cli import app
from pipeline.terminal import run_app
from stages.packets import FrameResult, RunInfo
from stages.recording import Recorder


def hamba(*arguments: str | Path) -> int:
    return run_app(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult], tmp_path: Path) -> Path:
    """A run's folder, with a recording of two hands in it."""
    recorder = Recorder(tmp_path / "clip" / "hands.mcap")
    recorder.open(make_run())
    for index in range(6):
        recorder.write(make_result(index, hands=2))
    recorder.close()
    return tmp_path / "clip"


def test_forms_are_written_beside_the_recording_and_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hamba("export", folder, "--to", "csv,npz") == 0
    told = capsys.readouterr().err
    for name in ("hands.npz", "hands.csv"):
        assert (folder / name).stat().st_size > 0
        assert f"wrote {folder / name}" in told


def test_options_choose_what_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder.parent / "out"
    assert hamba("export", folder / "hands.mcap", "--to", "npz", "--side", "left", "--out", out, "--json") == 0
    [written] = json.loads(capsys.readouterr().out)["written"]
    with np.load(written) as data:
        assert {str(track).partition("_")[2] for track in data["tracks"]} == {"left"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "glbb"], "did you mean glb?"),
        (["--to", "npz", "--tracks", "one"], "expected numbers with commas"),
        (["--to", "npz", "--side", "lefty"], "--side: expected 'left' or 'right', found 'lefty'"),
        (["--to", "npz", "--start", "2", "--end", "1"], "not after the end"),
        (["--to", "npz", "--tracks", "77"], "none of which was chosen"),
        (["--to", "npz", "--vertices"], "--vertices: expected glb in --to"),
        (["--to", "npz", "--source", "clip.mp4"], "--source: expected mp4 in --to"),
        (["--to", "csv", "--azimuth", "30"], "expected mp4 in --to"),
        (["--to", "mp4", "--source", "clip.mp4", "--azimuth", "30"], "the video has its own view"),
        (["--to", "glb", "--hand-model", "nope.pkl"], "of the generic hand"),
        (["--to", "csv,npz", "--every-shape"], "--every-shape: expected glb or bvh in --to"),
        (["--to", "mp4", "--rate", "60"], "--rate: expected a form that is resampled, found mp4"),
        (["--to", "npz", "--task", "wave"], "expected lerobot in --to"),
        (["--to", "lerobot", "--action", "x"], "--action: expected --actions beside it"),
        (["--to", "npz", "--rate", "0"], "--rate: expected more than 0"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_written(
    options: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(folder.rglob("*"))
    assert hamba("export", folder, *options) == 2
    assert message in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


def test_an_earlier_export_is_kept_unless_overwriting_is_asked_for(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "hands.csv").write_text("mine")
    assert hamba("export", folder, "--to", "csv") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (folder / "hands.csv").read_text() == "mine"
    assert hamba("export", folder, "--to", "csv", "--overwrite") == 0
    assert (folder / "hands.csv").read_text() != "mine"


def test_a_folder_without_a_recording_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hamba("export", tmp_path, "--to", "csv") == 2
    assert "hands.mcap: expected a readable recording" in capsys.readouterr().err


def test_several_recordings_become_one_data_set_and_nothing_else(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyarrow", reason="needs pyarrow: pip install pyarrow")
    both = (folder, folder / "hands.mcap")
    assert hamba("export", *both, "--to", "lerobot", "--no-video", "--out", tmp_path / "set") == 0
    info = json.loads((tmp_path / "set/hands-lerobot/meta/info.json").read_text())
    assert (info["total_episodes"], info["total_frames"]) == (2, 12)
    capsys.readouterr()
    assert hamba("export", *both, "--to", "npz") == 2
    assert "expected one recording for --to npz, found 2" in capsys.readouterr().err
