"""Cameras, up to the edge: no machine of the tests has one, so FFmpeg's own test picture stands in for the device."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from hamba_core.errors import BrokenSourceError, SourceError
from stages.sources import SourceSettings, source_for
from stages.sources.live import camera
from stages.sources.settings import CameraSettings, LiveSettings
from tests.stages.sources.conftest import taken

Fixture = Callable[..., Any]

pytestmark = pytest.mark.skipif("sys.platform != 'linux'", reason="devices are Linux's")


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in the place of /dev, with a video0 and a video2 that have names."""
    folder, names = tmp_path / "dev", tmp_path / "names"
    folder.mkdir()
    for number, name in ((0, "Integrated Webcam"), (2, "USB Camera")):
        (folder / f"video{number}").touch()
        (names / f"video{number}").mkdir(parents=True)
        (names / f"video{number}" / "name").write_text(name + "\n")
    monkeypatch.setattr(camera, "DEVICES", folder)
    monkeypatch.setattr(camera, "NAMES", names)
    return folder


class Device:
    """Opens FFmpeg's test picture where a camera was asked for, and remembers with what options."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuse: tuple[type[Exception], ...] = ()) -> None:
        self.options: list[dict[str, str]] = []
        self.formats: list[str] = []
        self.refuse = list(refuse)
        self.frames = 10_000
        monkeypatch.setattr(camera, "open_container", self.open)

    def open(self, url: str, settings: SourceSettings, *, format: str, options: dict[str, str], timeout: Any) -> Any:
        self.options.append(dict(options))
        self.formats.append(format)
        if self.refuse:
            kind = self.refuse.pop(0)
            raise kind(16, "Device or resource busy")
        size = options.get("video_size", "160x120")
        rate = options.get("framerate", "25")
        picture = f"testsrc=size={size}:rate={rate}:duration={self.frames / float(rate)}"
        return av.open(picture, format="lavfi")


def test_a_camera_that_is_not_there_is_an_error_that_lists_those_that_are(devices: Path, read: Fixture) -> None:
    for text in ("1", "/dev/video7"):
        reading = read(text)
        assert type(reading.error) is SourceError
        assert "0 (Integrated Webcam), 2 (USB Camera)" in str(reading.error)


def test_a_machine_without_cameras_says_so(tmp_path: Path, read: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "DEVICES", tmp_path)
    assert "there is no camera on this machine" in str(read("0").error)


def test_frames_of_a_camera_are_live(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    source = source_for("0")
    info = source.open()
    assert (info.name, info.kind, info.live) == ("camera 0", "camera", True)
    assert (info.width, info.height, info.fps, info.frames) == (160, 120, 25, None)
    frames = taken(source.frames(), 10)
    source.close()
    assert [frame.meta.pts for frame in frames] == pytest.approx([index / 25 for index in range(10)])
    assert device.formats == ["v4l2"]
    assert device.options == [{"input_format": "mjpeg"}]
    assert source.choices()[0].chosen.startswith("FFmpeg Video4Linux")


def test_a_size_and_a_rate_are_asked_for(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch)
    source = source_for("2", SourceSettings(camera=CameraSettings(width=320, height=240, rate=15)))
    info = source.open()
    source.close()
    assert (info.width, info.height, info.fps) == (320, 240, 15)
    assert device.options == [{"video_size": "320x240", "framerate": "15", "input_format": "mjpeg"}]


def test_a_camera_without_mjpeg_is_asked_for_what_it_has(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device(monkeypatch, refuse=(av.error.ArgumentError,))
    source = source_for("0")
    source.open()
    source.close()
    assert device.options == [{"input_format": "mjpeg"}, {}]


class Capture:
    """OpenCV's capture in a test: blue pictures, as OpenCV has them."""

    opens = True
    device: object = None
    left = 10_000

    def __init__(self, device: object, backend: int) -> None:
        type(self).device = device
        self.wishes: dict[int, float] = {}
        self.released = False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opens

    def set(self, wish: int, value: float) -> bool:
        self.wishes[wish] = value
        return True

    def get(self, wish: int) -> float:
        return self.wishes.get(wish, 0.0)

    def getBackendName(self) -> str:  # noqa: N802
        return "TEST"

    def read(self) -> tuple[bool, Any]:
        if not self.left:
            return False, None
        self.left -= 1
        return True, np.full((48, 64, 3), (255, 0, 0), np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> type[Capture]:
    """OpenCV's capture replaced by one whose behaviour can be set."""

    class Own(Capture):
        pass

    monkeypatch.setattr(cv2, "VideoCapture", Own)
    return Own


BUSY = (av.error.OSError, av.error.OSError)


def test_opencv_is_the_fallback_and_the_report_says_why(
    devices: Path, monkeypatch: pytest.MonkeyPatch, capture: type[Capture]
) -> None:
    Device(monkeypatch, refuse=BUSY)
    source = source_for("0", SourceSettings(camera=CameraSettings(width=640, height=480, rate=30)))
    info = source.open()
    frames = taken(source.frames(), 3)
    source.close()
    assert (info.width, info.height, info.fps) == (64, 48, 30)
    assert frames[0].image[0, 0].tolist() == [0, 0, 255]
    choice = source.choices()[0]
    assert choice.fallback
    assert choice.chosen == "OpenCV TEST"
    assert capture.device == 0
    assert "busy" in choice.reason


def test_a_camera_that_nothing_opens_says_why(
    devices: Path, monkeypatch: pytest.MonkeyPatch, capture: type[Capture], read: Fixture
) -> None:
    Device(monkeypatch, refuse=BUSY)
    capture.opens = False
    reading = read("0")
    assert type(reading.error) is SourceError
    assert "busy" in str(reading.error)
    assert "in use by another program" in str(reading.error)


def test_a_camera_that_is_unplugged_and_plugged_in_again_goes_on(
    devices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Device(monkeypatch)
    device.frames = 5
    source = source_for("0")
    source.open()
    frames = source.frames()
    assert len(taken(frames, 5)) == 5
    (devices / "video0").unlink()
    while next(frames) is not None:
        pass
    (devices / "video0").touch()
    assert [frame.meta.index for frame in taken(frames, 3)] == [5, 6, 7]
    source.close()


def test_a_camera_that_opencv_reads_and_that_is_unplugged_is_given_up(
    devices: Path, monkeypatch: pytest.MonkeyPatch, capture: type[Capture]
) -> None:
    Device(monkeypatch, refuse=BUSY)
    capture.left = 4
    source = source_for("0", SourceSettings(live=LiveSettings(reconnect=False)))
    source.open()
    with pytest.raises(BrokenSourceError, match="unplugged"):
        list(source.frames())
    source.close()


def test_a_file_that_is_no_device_is_an_error(devices: Path, read: Fixture, capfd: pytest.CaptureFixture[str]) -> None:
    # Nothing is replaced here: FFmpeg and OpenCV are asked to open an empty file as a camera.
    reading = read("0", open_timeout=5)
    assert type(reading.error) is SourceError
    assert "video0" in str(reading.error)
    assert capfd.readouterr().err == ""


def test_the_drivers_stamp_is_believed_where_it_is_of_the_same_clock() -> None:
    now = time.monotonic_ns()
    taken_ns = now - 30_000_000
    assert camera.capture_time(taken_ns / 1e9, now) == pytest.approx(taken_ns, abs=1000)
    for stamp in (None, now / 1e9 + 1, now / 1e9 - 60, 1.7e9 + now / 1e9):
        assert camera.capture_time(stamp, now) == now
