"""Cameras, up to the edge: no machine of the tests has one, so FFmpeg's own test picture stands in for the device."""

import errno
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import pytest

from hamba_core.errors import BrokenSourceError, SourceError
from stages.sources import SourceSettings, decoding, source_for
from stages.sources.cameras import finding, sessions, video4linux
from stages.sources.settings import CameraSettings, LiveSettings
from tests.stages.sources.cameras.kernel import Kernel, webcam
from tests.stages.sources.conftest import taken

Fixture = Callable[..., Any]

pytestmark = pytest.mark.skipif("sys.platform != 'linux'", reason="devices are Linux's")


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel with a webcam as video0 and another as video2."""
    kernel = Kernel(tmp_path)
    monkeypatch.setattr(video4linux, "KERNEL", kernel)
    kernel.plug(0, webcam("Integrated Webcam", "usb-1"))
    kernel.plug(2, webcam("USB Camera", "usb-2"))
    return kernel


class FFmpeg:
    """It opens FFmpeg's test picture where a camera was asked for, and remembers with what options."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuse: tuple[type[Exception], ...] = ()) -> None:
        self.options: list[dict[str, str]] = []
        self.formats: list[str] = []
        self.urls: list[str] = []
        self.refuse = list(refuse)
        self.errno = 22
        self.frames = 10_000
        monkeypatch.setattr(sessions, "open_container", self.open)

    def open(self, url: str, settings: SourceSettings, *, format: str, options: dict[str, str], timeout: Any) -> Any:
        self.options.append(dict(options))
        self.formats.append(format)
        self.urls.append(url)
        if self.refuse:
            raise self.refuse.pop(0)(self.errno, "refused")
        size = options.get("video_size", "160x120")
        rate = options.get("framerate", "25")
        picture = f"testsrc=size={size}:rate={rate}:duration={self.frames / float(rate)},realtime"
        return av.open(picture, format="lavfi")


def test_a_camera_that_is_not_there_is_an_error_that_lists_those_that_are(kernel: Kernel, read: Fixture) -> None:
    for text in ("1", "/dev/video7"):
        reading = read(text)
        assert type(reading.error) is SourceError
        assert "0 (Integrated Webcam), 2 (USB Camera)" in str(reading.error)


def test_a_machine_without_cameras_says_so(tmp_path: Path, read: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video4linux, "KERNEL", Kernel(tmp_path))
    assert "there is no camera on this machine" in str(read("0").error)


def test_frames_of_a_camera_are_live(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    ffmpeg = FFmpeg(monkeypatch)
    source = source_for("0")
    info = source.open()
    assert (info.name, info.kind, info.live) == ("camera 0", "camera", True)
    assert (info.width, info.height, info.fps, info.frames) == (1280, 720, 30, None)
    frames = taken(source.frames(), 10)
    source.close()
    ticks = [frame.meta.pts * 30 for frame in frames]  # on a busy machine some are skipped
    assert ticks == pytest.approx(sorted({round(tick) for tick in ticks}), abs=0.01)
    assert ticks[0] == 0
    assert ffmpeg.formats == ["v4l2"]
    assert ffmpeg.options == [{"input_format": "mjpeg", "video_size": "1280x720", "framerate": "30"}]
    assert source.choices()[0].chosen.startswith("FFmpeg v4l2")


def test_a_size_and_a_rate_are_asked_for(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    ffmpeg = FFmpeg(monkeypatch)
    source = source_for("2", SourceSettings(camera=CameraSettings(width=640, height=480, rate=15)))
    info = source.open()
    source.close()
    assert (info.width, info.height, info.fps) == (640, 480, 15)
    assert ffmpeg.options == [{"input_format": "yuyv422", "video_size": "640x480", "framerate": "15"}]


def test_a_camera_that_refuses_its_own_mode_is_opened_as_it_is(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    ffmpeg = FFmpeg(monkeypatch, refuse=(av.error.ArgumentError,))
    source = source_for("0")
    source.open()
    source.close()
    assert ffmpeg.options[1:] == [{}]


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


REFUSED = (av.error.ArgumentError, av.error.ArgumentError)


def test_opencv_is_the_fallback_and_the_report_says_why(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capture: type[Capture]
) -> None:
    FFmpeg(monkeypatch, refuse=REFUSED)
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
    assert "refused" in choice.reason


def test_a_camera_that_nothing_opens_says_why(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capture: type[Capture], read: Fixture
) -> None:
    FFmpeg(monkeypatch, refuse=REFUSED)
    capture.opens = False
    reading = read("0")
    assert type(reading.error) is SourceError
    assert "neither does OpenCV" in str(reading.error)


@pytest.mark.parametrize("seen", [True, False])
def test_a_camera_that_another_program_has_is_said_to_be_in_use_and_by_whom(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capture: type[Capture], read: Fixture, seen: bool
) -> None:
    ffmpeg = FFmpeg(monkeypatch, refuse=(av.error.OSError,))
    ffmpeg.errno = errno.EBUSY
    if seen:
        process = kernel.processes / "4711"
        (process / "fd").mkdir(parents=True)
        (process / "comm").write_text("zoom\n")
        (process / "fd" / "7").symlink_to(kernel.folder / "video0")
    reading = read("0")
    assert type(reading.error) is SourceError
    assert ("in use by zoom (process 4711)" if seen else "in use by another program") in str(reading.error)
    assert capture.device is None, "OpenCV was asked for a camera that another has"
    assert len(ffmpeg.options) == 1


def test_a_camera_that_may_not_be_opened_says_so(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capture: type[Capture], read: Fixture
) -> None:
    ffmpeg = FFmpeg(monkeypatch, refuse=(av.error.PermissionError,))
    ffmpeg.errno = errno.EACCES
    assert "group video" in str(read("0").error)
    assert capture.device is None


@pytest.mark.parametrize("number", [0, 4])
def test_a_camera_that_is_unplugged_and_plugged_in_again_goes_on_whatever_its_number_is_then(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    ffmpeg = FFmpeg(monkeypatch)
    ffmpeg.frames = 5
    source = source_for("0")
    source.open()
    frames = source.frames()
    assert len(taken(frames, 5)) == 5
    kernel.unplug(0)
    while next(frames) is not None:
        pass
    kernel.plug(number, webcam("Integrated Webcam", "usb-1"))
    assert [frame.meta.index for frame in taken(frames, 3)] == [5, 6, 7]
    source.close()
    assert ffmpeg.urls[-1] == str(kernel.folder / f"video{number}")


def test_a_camera_that_opencv_reads_and_that_is_unplugged_is_given_up(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, capture: type[Capture]
) -> None:
    FFmpeg(monkeypatch, refuse=REFUSED)
    capture.left = 4
    source = source_for("0", SourceSettings(live=LiveSettings(reconnect=False)))
    source.open()
    with pytest.raises(BrokenSourceError, match="unplugged"):
        list(source.frames())
    source.close()


def test_a_file_that_is_no_device_is_an_error(kernel: Kernel, read: Fixture, capfd: pytest.CaptureFixture[str]) -> None:
    (kernel.folder / "video7").touch()
    reading = read("7")
    assert type(reading.error) is SourceError
    assert "found no video device" in str(reading.error)


def test_what_ffmpeg_and_opencv_cannot_open_is_an_error_without_their_own_words(
    kernel: Kernel, read: Fixture, capfd: pytest.CaptureFixture[str]
) -> None:
    # Neither is replaced here: they are asked to open an empty file, which the kernel calls a camera.
    reading = read("0", live={"open_timeout": 5})
    assert type(reading.error) is SourceError
    assert "video0" in str(reading.error)
    assert capfd.readouterr().err == ""


def test_the_drivers_stamp_is_believed_where_it_is_of_the_same_clock() -> None:
    now = time.monotonic_ns()
    taken_ns = now - 30_000_000
    assert sessions.capture_time(taken_ns / 1e9, now) == pytest.approx(taken_ns, abs=1000)
    for stamp in (None, now / 1e9 + 1, now / 1e9 - 60, 1.7e9 + now / 1e9):
        assert sessions.capture_time(stamp, now) is None


@pytest.mark.parametrize("clock", ["monotonic", "other"])
def test_the_report_says_whose_time_stamps_they_are(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    FFmpeg(monkeypatch)
    taken_at = time.monotonic() if clock == "monotonic" else 0.0
    now_ns = round((taken_at or 1000) * 1e9) + 10**9
    monkeypatch.setattr(sessions, "time", SimpleNamespace(monotonic_ns=lambda: now_ns))
    if taken_at:
        usual = decoding.stamp_of
        monkeypatch.setattr(sessions, "stamp_of", lambda packet: (usual(packet) or 0.0) + taken_at)
    source = source_for("0")
    source.open()
    (frame,) = taken(source.frames(), 1)
    source.close()
    choice = next(choice for choice in source.choices() if choice.subject == "time of capture")
    assert choice.chosen == ("driver" if taken_at else "stream clock")
    if taken_at:
        assert frame.meta.captured_ns == pytest.approx(taken_at * 1e9, abs=1e6)


ELSEWHERE = [
    ("darwin", "avfoundation", "0:none", [{"video_size": "1280x720", "framerate": "30"}, {}, {"framerate": "30"}]),
    (
        "win32",
        "dshow",
        "video=@device_pnp_1",
        [
            {"video_size": "1280x720", "framerate": "30", "vcodec": "mjpeg"},
            {"video_size": "1280x720", "framerate": "30"},
            {},
            {"framerate": "30"},
        ],
    ),
]


@pytest.mark.parametrize(("platform", "format", "url", "attempts"), ELSEWHERE)
def test_on_other_systems_ffmpeg_opens_the_camera_that_the_system_names(
    monkeypatch: pytest.MonkeyPatch, platform: str, format: str, url: str, attempts: list[dict[str, str]]
) -> None:
    listed = [SimpleNamespace(name="@device_pnp_1", description="FaceTime HD Camera", media_types=["video"])]
    monkeypatch.setattr(finding, "SYSTEM", platform)
    monkeypatch.setattr(av, "enumerate_input_devices", lambda name: listed)
    ffmpeg = FFmpeg(monkeypatch, refuse=(av.error.ArgumentError,) * (len(attempts) - 1))
    source = source_for("camera:facetime")
    info = source.open()
    assert len(taken(source.frames(), 3)) == 3
    source.close()
    assert info.name == "camera facetime"
    assert ffmpeg.options == attempts
    assert set(ffmpeg.urls) == {url}
    assert set(ffmpeg.formats) == {format}


def test_windows_is_asked_both_ways_by_opencv(monkeypatch: pytest.MonkeyPatch, capture: type[Capture]) -> None:
    listed = [SimpleNamespace(name="@device_pnp_1", description="Brio", media_types=["video"])]
    monkeypatch.setattr(finding, "SYSTEM", "win32")
    monkeypatch.setattr(av, "enumerate_input_devices", lambda name: listed)
    FFmpeg(monkeypatch, refuse=(av.error.ArgumentError,) * 4)
    backends: list[int] = []

    class Second(Capture):
        def __init__(self, device: object, backend: int) -> None:
            super().__init__(device, backend)
            backends.append(backend)
            self.opens = backend == cv2.CAP_MSMF

    monkeypatch.setattr(cv2, "VideoCapture", Second)
    source = source_for("0")
    source.open()
    source.close()
    assert backends == [cv2.CAP_DSHOW, cv2.CAP_MSMF]
