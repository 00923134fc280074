"""Which cameras there are and what they can, asked of a stand-in for the kernel: no machine of the tests has one."""

import errno
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest
from typer.testing import CliRunner

from hamba_core.errors import SourceError
from pipeline.commands.cli import app
from stages.sources import source_for
from stages.sources.cameras import finding, list_cameras, mode_for, video4linux
from stages.sources.cameras.finding import camera_called, found_camera
from stages.sources.cameras.modes import RAW_BYTES, Camera, Mode
from stages.sources.settings import CameraSettings
from tests.stages.sources.cameras.kernel import CODEC, METADATA, OUTPUT, Device, Kernel, webcam

Fixture = Callable[..., Any]


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """A kernel without devices."""
    kernel = Kernel(tmp_path)
    monkeypatch.setattr(video4linux, "KERNEL", kernel)
    monkeypatch.setattr(finding, "SYSTEM", "linux")
    return kernel


def test_the_kernels_numbers_of_the_questions_are_those_of_its_header() -> None:
    # As a C program prints them that includes linux/videodev2.h, on x86-64 and ARM.
    assert video4linux.QUERYCAP == 0x80685600
    assert video4linux.ENUM_FMT == 0xC0405602
    assert video4linux.ENUM_FRAMESIZES == 0xC02C564A
    assert video4linux.ENUM_FRAMEINTERVALS == 0xC034564B


def test_nodes_that_give_pictures_are_told_from_those_that_do_not(kernel: Kernel) -> None:
    kernel.plug(0, webcam())
    kernel.plug(1, Device("HD Webcam C920", can=METADATA, whole=0x8000_0000 | METADATA | 1))
    kernel.plug(2, Device("Loop", can=OUTPUT))
    kernel.plug(10, Device("bcm2835-codec", can=CODEC | 1))
    kernel.plug(3, webcam("Second"))
    assert [str(camera) for camera in list_cameras()] == ["0 (HD Webcam C920)", "3 (Second)"]
    assert not kernel.descriptors, "a device stayed open"


def test_an_old_driver_that_tells_of_the_whole_device_alone_is_believed(kernel: Kernel) -> None:
    device = webcam()
    device.whole = device.can
    device.can = 0
    kernel.plug(0, device)
    assert len(list_cameras()) == 1


def test_modes_are_what_the_driver_says(kernel: Kernel) -> None:
    kernel.plug(0, webcam())
    (camera,) = list_cameras()
    assert (camera.name, camera.place) == ("HD Webcam C920", "usb-0000:00:14.0-1")
    assert camera.modes[:2] == (
        Mode("YUYV", 640, 480, (30.0, 15.0), "yuyv422", 16),
        Mode("YUYV", 1280, 720, (10.0, 5.0), "yuyv422", 16),
    )
    assert Mode("MJPG", 1920, 1080, (30.0,), "mjpeg", 0) in camera.modes
    assert len(camera.modes) == 7


def test_ranges_of_sizes_and_rates_become_common_ones(kernel: Kernel) -> None:
    steps = (16, 1600, 16, 16, 1200, 4)
    kernel.plug(0, Device(stepwise={"YUYV": steps}, continuous=((1, 50), (1, 10))))
    (camera,) = list_cameras()
    sizes = [(mode.width, mode.height) for mode in camera.modes]
    assert (640, 480) in sizes
    assert (1280, 720) in sizes
    assert (1600, 1200) in sizes
    assert (1920, 1080) not in sizes
    assert camera.modes[0].rates == (50.0, 30.0, 25.0, 15.0, 10.0)


def test_a_camera_that_may_not_be_opened_is_listed_and_says_why(kernel: Kernel, read: Fixture) -> None:
    kernel.plug(0, Device("Locked", refuses=errno.EACCES))
    (camera,) = list_cameras()
    assert "permission denied" in camera.problem
    assert "group video" in str(read("0").error)


def test_a_sensor_without_colours_is_listed_and_says_what_makes_them(kernel: Kernel, read: Fixture) -> None:
    kernel.plug(0, Device("unicam", formats={"pRAA": {(1640, 1232): []}}))
    assert "found pRAA" in list_cameras()[0].problem
    assert "rpicam-vid" in str(read("0").error)


def test_a_driver_that_tells_no_sizes_or_no_formats_is_left_to_ffmpeg(kernel: Kernel) -> None:
    kernel.plug(0, Device("Old", formats={"YUYV": {}}))
    kernel.plug(1, Device("OBS Virtual Camera"))
    old, virtual = list_cameras()
    assert (old.problem, virtual.problem) == ("", "")
    assert old.modes == (Mode("YUYV", 0, 0, (), "yuyv422", 16),)
    assert mode_for(old.modes, CameraSettings()) is None
    assert mode_for(virtual.modes, CameraSettings()) is None
    assert "sizes are not told" in CliRunner().invoke(app, ["cameras"]).output


@pytest.mark.parametrize(
    ("wishes", "format", "size", "rate"),
    [
        ({}, "MJPG", (1280, 720), 30),  # raw has a third of the rate
        ({"width": 640, "height": 480}, "YUYV", (640, 480), 30),  # 18 MB/s fit
        ({"width": 640, "height": 480, "rate": 60}, "YUYV", (640, 480), 30),  # nothing reaches it there
        ({"rate": 60}, "MJPG", (1280, 720), 60),
        ({"width": 1920, "height": 1080}, "MJPG", (1920, 1080), 30),  # before H.264, which waits for later pictures
        ({"width": 1920, "height": 1080, "rate": 5}, "MJPG", (1920, 1080), 30),  # raw fits, just not its 20.7 MB/s
        ({"width": 1300, "height": 700}, "MJPG", (1280, 720), 30),  # the nearest
        ({"width": 100, "height": 100}, "YUYV", (640, 480), 30),
    ],
)
def test_the_mode_that_is_taken(
    kernel: Kernel, wishes: dict[str, int], format: str, size: tuple[int, int], rate: float
) -> None:
    kernel.plug(0, webcam())
    taken = mode_for(list_cameras()[0].modes, CameraSettings(**wishes))
    assert taken is not None
    mode, found = taken
    assert (mode.format, mode.width, mode.height, found) == (format, *size, rate)


def test_a_raw_mode_is_taken_up_to_its_bandwidth_alone() -> None:
    def modes(rate: float) -> list[Mode]:
        return [Mode("YUYV", 640, 480, (rate,), "yuyv422", 16), Mode("MJPG", 640, 480, (rate,), "mjpeg", 0)]

    most = RAW_BYTES / (640 * 480 * 2)
    wishes = CameraSettings(width=640, height=480)
    for rate, format in ((most - 0.1, "YUYV"), (most + 0.1, "MJPG")):
        taken = mode_for(modes(rate), wishes.model_copy(update={"rate": rate}))
        assert taken is not None
        assert taken[0].format == format


def test_a_camera_is_called_by_its_name_or_a_part_of_it(kernel: Kernel) -> None:
    kernel.plug(0, webcam("Integrated Webcam"))
    kernel.plug(4, webcam("HD Webcam C920", "usb-2"))
    for text in ("HD Webcam C920", "hd webcam c920", "C920"):
        camera = camera_called(text)
        assert camera is not None
        assert camera.number == 4
    assert camera_called("Brio") is None
    with pytest.raises(SourceError, match=r"found 2: 0 \(Integrated Webcam\), 4 \(HD Webcam C920\)"):
        camera_called("webcam")


def test_a_name_is_a_source_unless_a_file_is_called_so(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.plug(0, webcam())
    monkeypatch.chdir(tmp_path)
    for text in ("HD Webcam C920", "camera:c920"):
        assert source_for(text).live
    with pytest.raises(SourceError, match=r"nothing of that name$"):
        source_for("clip.mp4")
    with pytest.raises(SourceError, match=r"nothing of that name; there are 0 \(HD Webcam C920\)"):
        source_for("Brio")
    Path("HD Webcam C920").write_bytes(b"text")
    assert not source_for("HD Webcam C920").live


def test_a_device_by_its_link_is_the_camera(kernel: Kernel, tmp_path: Path) -> None:
    link = tmp_path / "usb-HD_Webcam-index0"
    link.symlink_to(kernel.plug(2, webcam()))
    assert found_camera(str(link), None).number == 2


def test_a_node_without_pictures_is_named_as_what_it_is(kernel: Kernel, read: Fixture) -> None:
    kernel.plug(0, webcam())
    kernel.plug(1, Device("HD Webcam C920", can=METADATA))
    error = str(read("1").error)
    assert "found metadata of the camera HD Webcam C920" in error
    assert "there are 0 (HD Webcam C920)" in error


def test_one_of_two_alike_comes_back_as_itself(kernel: Kernel) -> None:
    kernel.plug(0, webcam(place="usb-1"))
    kernel.plug(2, webcam(place="usb-2"))
    second = found_camera("2", None)
    kernel.unplug(2)
    kernel.plug(4, webcam(place="usb-2"))
    assert found_camera("2", second).number == 4
    kernel.unplug(4)
    kernel.plug(5, webcam(place="usb-3"))  # into a third socket: it may be either
    with pytest.raises(SourceError, match="expected a camera at"):
        found_camera("2", second)


def test_the_only_one_of_its_name_comes_back_from_another_socket(kernel: Kernel) -> None:
    kernel.plug(0, webcam(place="usb-1"))
    known = found_camera("0", None)
    kernel.unplug(0)
    kernel.plug(0, webcam("Another", "usb-1"))
    kernel.plug(3, webcam(place="usb-7"))
    assert found_camera("0", known).number == 3


def test_the_command_lists_cameras_and_their_modes(kernel: Kernel) -> None:
    kernel.plug(0, webcam())
    kernel.plug(1, Device("HD Webcam C920", can=METADATA))
    shown = CliRunner().invoke(app, ["cameras"])
    assert shown.exit_code == 0
    assert "0  HD Webcam C920" in shown.output
    assert "1280x720" in shown.output
    told = json.loads(CliRunner().invoke(app, ["cameras", "--json"]).output)
    assert len(told) == 1
    assert told[0]["taken"] == {"format": "MJPG", "width": 1280, "height": 720, "rate": 30.0}
    assert len(told[0]["modes"]) == 7


def test_the_command_says_so_where_there_is_none(kernel: Kernel) -> None:
    assert "There is no camera here" in CliRunner().invoke(app, ["cameras"]).output
    assert json.loads(CliRunner().invoke(app, ["cameras", "--json"]).output) == []


@pytest.mark.parametrize(("platform", "format"), [("darwin", "avfoundation"), ("win32", "dshow")])
def test_elsewhere_ffmpeg_lists_them(monkeypatch: pytest.MonkeyPatch, platform: str, format: str) -> None:
    asked = []

    def enumerated(name: str) -> list[SimpleNamespace]:
        asked.append(name)
        return [
            SimpleNamespace(name="@device_1", description="FaceTime HD Camera", media_types=["video"]),
            SimpleNamespace(name="@device_2", description="Microphone", media_types=["audio"]),
            SimpleNamespace(name="@device_3", description="Capture screen 0", media_types=["video"]),
        ]

    monkeypatch.setattr(finding, "SYSTEM", platform)
    monkeypatch.setattr(av, "enumerate_input_devices", enumerated)
    assert list_cameras() == [Camera(0, "FaceTime HD Camera", "@device_1")]
    assert asked == [format]


def test_elsewhere_a_number_is_tried_where_ffmpeg_lists_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str) -> None:
        raise av.error.OSError(1, "no")

    monkeypatch.setattr(finding, "SYSTEM", "darwin")
    monkeypatch.setattr(av, "enumerate_input_devices", refused)
    assert found_camera("0", None).number == 0
