"""A recording where an address is expected, a stream where a recording is: each is named, with what takes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hamba_core.errors import HambaError, SourceError
from pipeline.commands.cli import app
from pipeline.given_names import check_published, recording_in
from pipeline.terminal import run_app
from stages.packets import FrameResult, RunInfo
from stages.recording import Recorder
from stages.sources import source_for

STREAMS = ("rtsp://user:SeKret@127.0.0.1:1/live", "http://127.0.0.1:1/video", "udp://127.0.0.1:5000")
SOURCES = (*STREAMS, "0", "/dev/video0", "camera:C920", "synthetic:", "synthetic:?seed=2")


@pytest.fixture
def recording(make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult], tmp_path: Path) -> Path:
    folder = tmp_path / "session"
    folder.mkdir()
    recorder = Recorder(folder / "hands.mcap")
    recorder.open(make_run())
    recorder.write(make_result(0))
    recorder.close()
    return folder


@pytest.fixture
def video(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"\0\0\0\x20ftypisom" + b"\0" * 100)
    return path


def error_of(*arguments: str, capfd: pytest.CaptureFixture[str]) -> str:
    assert run_app(app, arguments) == 2
    told = capfd.readouterr().err
    assert "Traceback" not in told
    return " ".join(told.split())


@pytest.mark.parametrize("command", ["view", "web", "vmc", "osc", "record", "ros", "retarget"])
@pytest.mark.parametrize("given", SOURCES)
def test_followers_say_that_a_source_is_for_a_run(
    command: str, given: str, capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    more = ["--robot", "leap"] if command == "retarget" else []
    told = error_of(command, given, *more, capfd=capfd)
    assert "expected an address such as tcp://127.0.0.1:5557" in told
    assert "hamba run " in told
    assert "--publish" in told
    assert "SeKret" not in told


@pytest.mark.parametrize("command", ["view", "web", "vmc", "osc", "record", "ros"])
def test_followers_say_what_is_wrong_with_a_name(
    command: str, video: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(video.parent)
    assert "did you mean tcp://127.0.0.1:5557?" in error_of(command, "127.0.0.1:5557", capfd=capfd)
    assert "hamba run " in error_of(command, str(video), capfd=capfd)
    assert "expected an address such as" in error_of(command, "nothing.mcap", capfd=capfd)


@pytest.mark.parametrize("command", ["record", "ros"])
def test_those_that_follow_addresses_alone_say_that_a_recording_can_be_played(
    command: str, recording: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recording.parent)
    for given in (recording, recording / "hands.mcap"):
        told = error_of(command, str(given), capfd=capfd)
        assert f"found a recording; hamba play {given} publishes one" in told
    assert not Path("out").exists()


@pytest.mark.parametrize("command", ["play", "info", "export", "convert", "eval video"])
def test_those_that_read_recordings_say_what_an_address_or_a_video_is_for(
    command: str, video: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    more = {"export": ["--to", "csv"], "convert": ["--hand-model", str(video)]}.get(command, [])
    told = error_of(*command.split(), "tcp://127.0.0.1:5557", *more, capfd=capfd)
    assert "tcp://127.0.0.1:5557: expected a recording or its folder, found an address; hamba record" in told
    told = error_of(*command.split(), STREAMS[0], *more, capfd=capfd)
    assert "hamba run rtsp://***@127.0.0.1:1/live --publish" in told
    assert "SeKret" not in told
    assert "hamba run " in error_of(*command.split(), str(video), *more, capfd=capfd)


def test_a_run_says_what_a_recording_is_for(recording: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for given in (recording, recording / "hands.mcap"):
        assert "hamba view" in error_of("run", str(given), capfd=capfd)


def test_a_run_says_that_hands_are_published_at_an_address(make_stage: Any) -> None:
    with pytest.raises(SourceError, match=r"hands are published there \(ZeroMQ\), which hamba view"):
        source_for(make_stage().address).open()


def test_what_is_right_passes(recording: Path) -> None:
    assert recording_in(recording) == recording_in(recording / "hands.mcap") == recording / "hands.mcap"
    for address in ("tcp://127.0.0.1:5557", "tcp://*:5557", "ipc:///tmp/hands", "ws://127.0.0.1:80"):
        check_published(address)
    with pytest.raises(HambaError, match="of another kind"):
        check_published("ftp://127.0.0.1/x")
