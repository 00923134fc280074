"""MediaPipe's own detector says what it misses, and a damaged file is named."""

import sys
import zipfile
from pathlib import Path

import pytest

import stages.detection.mediapipe_landmarker
from hamba_core.errors import DependencyError, SourceError, WeightsError
from stages.assets import HAND_LANDMARKER
from stages.assets.make.hand_landmarker import make_task_file
from stages.detection import DetectionSettings, HandDetection


def open_landmarker() -> None:
    HandDetection(DetectionSettings(detector="mediapipe")).open()


def test_mediapipe_missing_is_said_with_the_command_that_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(DependencyError, match="python -m pip install 'mediapipe"):
        open_landmarker()


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
        open_landmarker()


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
    monkeypatch.setattr(stages.detection.mediapipe_landmarker, "HAND_LANDMARKER", path)
    with pytest.raises(WeightsError, match=str(path)):
        open_landmarker()


def test_a_task_file_of_something_else_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "other.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("face_detector.tflite", b"no network")
    monkeypatch.setattr(stages.detection.mediapipe_landmarker, "HAND_LANDMARKER", path)
    with pytest.raises(WeightsError, match=f"{path}: MediaPipe cannot use it"):
        open_landmarker()


def test_a_task_file_is_made_from_nothing_but_the_wheel_expected(tmp_path: Path) -> None:
    wheel = tmp_path / "mediapipe.whl"
    with pytest.raises(SourceError, match=f"{wheel}: expected a wheel.*give the wheel mediapipe-0.10.21"):
        make_task_file(wheel, tmp_path / "made.task")
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("mediapipe/modules/palm_detection/palm_detection_full.tflite", b"another")
    with pytest.raises(SourceError, match=r"with SHA-256 1b14e942.*, found"):
        make_task_file(wheel, tmp_path / "made.task")
    assert list(tmp_path.iterdir()) == [wheel]
