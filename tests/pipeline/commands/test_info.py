"""`hamba info`, as a person and a program use it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.commands.cli import app
from pipeline.terminal import run_app
from stages.packets import FrameResult, RunInfo
from stages.recording import Recorder

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]


def hamba(*arguments: str | Path) -> int:
    return run_app(app, [str(argument) for argument in arguments])


@pytest.fixture
def recording(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> Path:
    """Of a run that was killed."""
    run = replace(make_run(), settings={"detect": {"max_hands": 1}}, versions={"torch": "2.11"})
    recorder = Recorder(tmp_path / "run" / "hands.mcap")
    recorder.open(run)
    for i in range(10):
        recorder.write(make_result(i))
    recorder.close()
    return tmp_path / "run" / "hands.mcap"


def test_people_are_told_what_is_in_a_recording(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("info", recording.parent) == 0
    told = " ".join(capfd.readouterr().out.split())
    for words in (
        "clip.mp4 (file), 640x480 at 30 frames/s", "estimated", "landmarks, hand model generic of 1500 vertices",
        "detect.max_hands=1", "torch 2.11", "10 in 0.30 s, hands in 10 of them", "its end is missing",
        "1 right 10 0 0.00",
    ):  # fmt: skip
        assert words in told


def test_programs_are_told_in_json(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert hamba("info", recording, "--json") == 0
    told = json.loads(capfd.readouterr().out)
    assert told["source"]["camera"]["estimated"] is True
    assert told["settings"] == {"detect": {"max_hands": 1}}
    assert [(track["id"], track["side"], track["frames"]) for track in told["tracks"]] == [
        (1, "right", 10), (2, "left", 10)
    ]  # fmt: skip
    assert (told["frames"], told["ended_in_order"], told["report"]) == (10, False, None)


def test_a_picture_is_drawn_and_never_over_another_file(
    recording: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "timeline.png"
    assert hamba("info", recording, "--plot", plot) == 0
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert f"wrote {plot}" in capfd.readouterr().out.replace("\n", "")
    plot.write_text("precious")
    assert hamba("info", recording, "--plot", plot) == 2
    assert "--overwrite" in capfd.readouterr().err
    assert plot.read_text() == "precious"


@pytest.mark.parametrize("content", [None, b"no recording"])
def test_what_is_no_recording_is_refused_by_name(
    content: bytes | None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "hands.mcap"
    if content is not None:
        path.write_bytes(content)
    assert hamba("info", path) == 2
    assert "hands.mcap: expected" in capfd.readouterr().err
