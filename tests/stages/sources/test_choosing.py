import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hamba_core.errors import SourceError
from stages.contract import Source
from stages.packets import Frame, SourceInfo
from stages.sources import SourceSettings, source_for
from stages.sources.live.live_source import LiveSource
from stages.sources.pacing import PacedSource
from stages.sources.pictures.images import ImagesSource
from stages.sources.video import VideoSource

Fixture = Callable[..., Any]


@pytest.mark.parametrize("text", ["0", "12", "/dev/video0", "/dev/v4l/by-id/usb-cam"])
def test_numbers_and_devices_are_cameras(text: str) -> None:
    source = source_for(text)
    assert isinstance(source, LiveSource)
    assert source.kind == "camera"


@pytest.mark.parametrize(
    "text", ["rtsp://cam/1", "RTSP://cam/1", "http://host/a.mp4", "https://host/a", "udp://@:5000", "srt://host:1"]
)
def test_addresses_are_streams(text: str) -> None:
    source = source_for(text)
    assert isinstance(source, LiveSource)
    assert source.kind == "network"


def test_files_are_told_apart_by_what_is_in_them(make_video: Fixture, make_picture: Fixture, tmp_path: Path) -> None:
    import cv2

    video = make_video(tmp_path / "clip.mp4", 2)
    cv2.imwrite(str(tmp_path / "hand.png"), make_picture())
    assert isinstance(source_for(str(video)), VideoSource)
    assert isinstance(source_for(f"file://{video}"), VideoSource)
    for text in (tmp_path / "hand.png", tmp_path, tmp_path / "*.png"):
        assert isinstance(source_for(str(text)), ImagesSource)


def test_what_is_there_comes_before_what_a_name_could_mean(
    make_video: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("take[1].mp4", "a*.mp4", "0"):
        make_video(tmp_path / "clip.mp4", 1).rename(tmp_path / name)
    assert isinstance(source_for("take[1].mp4"), VideoSource)
    assert isinstance(source_for("a*.mp4"), VideoSource)
    assert isinstance(source_for("./0"), VideoSource)
    assert isinstance(source_for("0"), LiveSource)


def test_the_home_folder_is_known(make_video: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    make_video(tmp_path / "clip.mp4", 2)
    source = source_for("~/clip.mp4")
    assert source.open().frames == 2
    source.close()


def test_an_unknown_kind_of_address_is_named_with_the_nearest() -> None:
    with pytest.raises(SourceError, match="did you mean rtsp"):
        source_for("rtps://cam/1")


def test_realtime_paces_what_is_not_live(make_video: Fixture, tmp_path: Path) -> None:
    source = source_for(str(make_video(tmp_path / "clip.mp4", 2)), SourceSettings(realtime=True))
    assert isinstance(source, PacedSource)


def test_the_test_pattern_is_made_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    import stages.synthetic

    class Pattern(Source):
        def open(self) -> SourceInfo:
            raise NotImplementedError

        def frames(self) -> Iterator[Frame | None]:
            raise NotImplementedError

    asked = []

    def synthetic_source(text: str, *, stream: str) -> Source:
        asked.append((text, stream))
        return Pattern()

    monkeypatch.setattr(stages.synthetic, "synthetic_source", synthetic_source)
    assert isinstance(source_for("synthetic:?seconds=2", stream="left"), Pattern)
    assert asked == [("synthetic:?seconds=2", "left")]


def test_without_pyav_it_says_what_to_install() -> None:
    script = (
        "import sys\n"
        "sys.modules['av'] = None\n"
        "from hamba_core.errors import DependencyError\n"
        "from stages.sources import source_for\n"
        "try:\n"
        "    source_for('rtsp://cam/1')\n"
        "except DependencyError as error:\n"
        "    sys.exit(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert "pip install av" in done.stderr


def test_naming_a_source_loads_no_heavy_library() -> None:
    script = (
        "import sys\n"
        "from stages.sources import SourceSettings, source_for\n"
        "sys.exit(', '.join(name for name in ('av', 'cv2', 'torch', 'mediapipe', 'open3d') if name in sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", ["-", "pipe:0", "a pipe"])
def test_a_pipe_is_named_as_one_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("a pipe")
    with pytest.raises(SourceError, match=r"pipe; .*write it to a file first"):
        source_for(name)
