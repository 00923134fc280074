"""The detector takes any picture, mends time stamps, and says what is missing.

What it finds is in test_clip_detection.py.
"""

import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st

import stages.detection.detection
from hamba_core.errors import DependencyError, SourceError, WeightsError
from hamba_core.view import Intrinsics
from stages.assets import HAND_LANDMARKER
from stages.assets.make.hand_landmarker import make_task_file
from stages.detection.detection import DetectionSettings, HandDetection, without_duplicates
from stages.packets import Frame, FrameMeta, HandBox

SIZES = [(640, 480), (1, 1), (4000, 2), (3, 3000), (33, 77), (640, 480)]


def frame(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], index: int = 0, pts: float = 0.0) -> Frame:
    height, width = image.shape[:2]
    return Frame(FrameMeta("hands", index, pts, 1, width, height, Intrinsics(500, 510, 0.4 * width, 7)), image)


def noise(width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def detector() -> Iterator[HandDetection]:
    stage = HandDetection()
    stage.open()
    yield stage
    stage.close()


@pytest.mark.parametrize("mode", ["video", "image"])
def test_pictures_of_any_size_and_of_changing_size_flow_on(mode: str) -> None:
    stage = HandDetection(DetectionSettings.model_validate({"mode": mode}))
    stage.open()
    for index, (width, height) in enumerate(SIZES):
        given = frame(noise(width, height), index, index / 30)
        found = stage.process(given)
        assert found.frame is given
        assert found.boxes == ()
    stage.close()


def test_pictures_that_are_not_contiguous_are_taken(detector: HandDetection) -> None:
    assert detector.process(frame(noise(640, 480)[::2, ::-1])).boxes == ()


def test_time_stamps_that_stand_still_fall_or_leap_are_mended(detector: HandDetection) -> None:
    for pts in (5.0, 5.0, 1.0, 1e12, -1e300, 1e300, 0.0, 0.0001):
        assert detector.process(frame(noise(64, 48), pts=pts)).boxes == ()


def test_a_mirrored_picture_is_turned_back_with_its_camera() -> None:
    stage = HandDetection(DetectionSettings(mirror=True))
    stage.open()
    given = frame(noise(64, 48), pts=2.5)
    turned = stage.process(given).frame
    stage.close()
    np.testing.assert_array_equal(turned.image, given.image[:, ::-1])
    point = np.array([0.1, 0.2, 1.0])
    u, v = given.meta.camera.project(point)
    np.testing.assert_allclose(turned.meta.camera.project(point * (-1, 1, 1)), (64 - u, v))
    assert (turned.meta.pts, turned.meta.index, turned.meta.captured_ns) == (2.5, 0, 1)


@pytest.mark.parametrize(
    ("mode", "stills", "expected"),
    [
        ("auto", False, "VIDEO mode"),
        ("auto", True, "IMAGE mode"),
        ("video", True, "VIDEO mode"),
        ("image", False, "IMAGE mode"),
    ],
)
def test_the_choice_names_the_mode_and_why(mode: str, stills: bool, expected: str) -> None:
    (choice,) = HandDetection(DetectionSettings.model_validate({"mode": mode}), stills=stills).choices()
    assert choice.chosen.endswith(expected)
    assert choice.reason


def test_the_choice_names_mediapipes_version(detector: HandDetection) -> None:
    import mediapipe

    assert f"MediaPipe Hand Landmarker {mediapipe.__version__}, CPU" in detector.choices()[0].chosen


def test_no_thread_is_left_after_close() -> None:
    before = set(threading.enumerate())
    stage = HandDetection()
    stage.open()
    assert set(threading.enumerate()) != before
    stage.close()
    stage.close()
    assert set(threading.enumerate()) == before


def test_nothing_is_written_to_the_terminal() -> None:
    script = (
        "import numpy as np\n"
        "from stages.detection.detection import *\n"
        "stage = HandDetection(); stage.open()\n"
        "camera = Intrinsics.estimate(640, 480)\n"
        "for i in range(3):\n"
        "    stage.process(Frame(FrameMeta('', i, i / 30, 1, 640, 480, camera), np.zeros((480, 640, 3), np.uint8)))\n"
        "stage.close()\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


def test_importing_the_stage_loads_no_mediapipe() -> None:
    script = (
        "import sys, stages.detection.detection as _; "
        "sys.exit(any(m.split('.')[0] in ('mediapipe', 'cv2') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_mediapipe_missing_is_said_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(DependencyError, match="python -m pip install 'mediapipe"):
        HandDetection().open()


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("libGLESv2.so.2", "libgles2"),
        ("libEGL.so.1", "libegl1"),
        ("libGL.so.1", "libgl1"),
        ("libodd.so.3.1", "<the package of libodd>"),
    ],
)
def test_a_system_library_missing_is_said_with_the_command_that_mends_it(
    library: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mediapipe.tasks.python.core import mediapipe_c_bindings

    def load_library(*args: object) -> None:
        raise OSError(f"{library}: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(mediapipe_c_bindings, "load_shared_library", load_library)
    with pytest.raises(DependencyError, match=f"{library}: cannot open.*apt-get install -y {package}$"):
        HandDetection().open()


def damaged_task_file(path: Path, how: str) -> Path:
    content = bytearray(HAND_LANDMARKER.read_bytes())
    if how == "truncated":
        del content[len(content) // 2 :]
    elif how == "flipped bit":
        content[1_000_000] ^= 1
    elif how == "text":
        content = bytearray(b"version https://git-lfs.github.com/spec/v1\n")
    if how != "missing":
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("how", ["missing", "truncated", "flipped bit", "text"])
def test_a_missing_or_damaged_task_file_is_named(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = damaged_task_file(tmp_path / "hand_landmarker.task", how)
    monkeypatch.setattr(stages.detection.detection, "HAND_LANDMARKER", path)
    with pytest.raises(WeightsError, match=str(path)):
        HandDetection().open()


def test_a_task_file_of_something_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("face_detector.tflite", b"no network")
    monkeypatch.setattr(stages.detection.detection, "HAND_LANDMARKER", path)
    with pytest.raises(WeightsError, match=f"{path}: MediaPipe cannot use it"):
        HandDetection().open()


def test_a_task_file_is_made_from_nothing_but_the_wheel_expected(tmp_path: Path) -> None:
    wheel = tmp_path / "mediapipe.whl"
    with pytest.raises(SourceError, match=f"{wheel}: expected a wheel.*give the wheel mediapipe-0.10.21"):
        make_task_file(wheel, tmp_path / "made.task")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mediapipe/modules/palm_detection/palm_detection_full.tflite", b"another")
    with pytest.raises(SourceError, match=r"with SHA-256 1b14e942.*, found"):
        make_task_file(wheel, tmp_path / "made.task")
    assert list(tmp_path.iterdir()) == [wheel]


def hand(x: float, *, score: float = 0.9, side: str = "right") -> HandBox:
    joints = np.random.default_rng(3).uniform(0, 100, (21, 2)) + np.array([x, 0])
    return HandBox(side, score, [*joints.min(0), *joints.max(0)], joints, np.zeros((21, 3)))  # type: ignore[arg-type]


def test_of_two_hands_in_one_place_the_better_stays() -> None:
    worse, better, apart = hand(3, score=0.7, side="left"), hand(0, score=0.95), hand(60, score=0.6)
    assert set(without_duplicates([worse, apart, better])) == {better, apart}
    assert without_duplicates([]) == ()


@given(st.lists(st.floats(0, 500), max_size=6))
def test_without_duplicates_changes_nothing_when_repeated(places: list[float]) -> None:
    once = without_duplicates([hand(x) for x in places])
    assert without_duplicates(once) == once
    assert bool(once) == bool(places)
