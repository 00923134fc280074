"""Either detector takes any picture, mends time stamps, and says what it is.

What they find is in test_clip_detection.py; what they need in test_hand_network.py and test_mediapipe_landmarker.py.
"""

import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.view import Intrinsics
from stages.detection.detection import DetectionSettings, HandDetection, without_duplicates
from stages.packets import Frame, FrameMeta, HandBox

DETECTORS = ("onnx", "mediapipe")
SIZES = [(640, 480), (1, 1), (4000, 2), (3, 3000), (33, 77), (640, 480)]


def frame(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], index: int = 0, pts: float = 0.0) -> Frame:
    height, width = image.shape[:2]
    return Frame(FrameMeta("hands", index, pts, 1, width, height, Intrinsics(500, 510, 0.4 * width, 7)), image)


def noise(width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> Iterator[HandDetection]:
    stage = HandDetection(DetectionSettings(detector=request.param))
    stage.open()
    yield stage
    stage.close()


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("mode", ["video", "image"])
def test_pictures_of_any_size_and_of_changing_size_flow_on(name: str, mode: str) -> None:
    stage = HandDetection(DetectionSettings.model_validate({"detector": name, "mode": mode}))
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
        ("auto", False, ("hands followed", "VIDEO mode")),
        ("auto", True, ("each picture searched", "IMAGE mode")),
        ("video", True, ("hands followed", "VIDEO mode")),
        ("image", False, ("each picture searched", "IMAGE mode")),
    ],
)
def test_the_choice_names_the_mode_and_why(mode: str, stills: bool, expected: tuple[str, str]) -> None:
    for name, ending in zip(DETECTORS, expected, strict=True):
        stage = HandDetection(DetectionSettings.model_validate({"detector": name, "mode": mode}), stills=stills)
        stage.open()
        (choice,) = stage.choices()
        stage.close()
        assert choice.chosen.endswith(ending)
        assert choice.reason


def test_the_choice_names_what_runs_the_networks_and_its_version(detector: HandDetection) -> None:
    import mediapipe
    import onnxruntime

    versions = (
        f"MediaPipe Hand Landmarker {mediapipe.__version__}, CPU",
        f"MediaPipe's hand networks, ONNX Runtime {onnxruntime.__version__}, CPU",
    )
    assert any(version in detector.choices()[0].chosen for version in versions)


@pytest.mark.parametrize("name", DETECTORS)
def test_no_thread_is_left_after_close(name: str) -> None:
    before = set(threading.enumerate())
    stage = HandDetection(DetectionSettings.model_validate({"detector": name}))
    stage.open()
    assert (set(threading.enumerate()) != before) == (name == "mediapipe")
    stage.close()
    stage.close()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("name", DETECTORS)
def test_nothing_is_written_to_the_terminal(name: str) -> None:
    script = (
        "import numpy as np\n"
        "from hamba_core.view import Intrinsics\n"
        "from stages.detection import DetectionSettings, HandDetection\n"
        "from stages.packets import Frame, FrameMeta\n"
        f"stage = HandDetection(DetectionSettings(detector={name!r})); stage.open()\n"
        "camera = Intrinsics.estimate(640, 480)\n"
        "for i in range(3):\n"
        "    stage.process(Frame(FrameMeta('', i, i / 30, 1, 640, 480, camera), np.zeros((480, 640, 3), np.uint8)))\n"
        "stage.close()\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


@pytest.mark.parametrize(("then", "heavy"), [("", "mediapipe onnxruntime cv2"), ("stage.open()", "mediapipe")])
def test_what_is_not_needed_is_not_loaded(then: str, heavy: str) -> None:
    script = (
        f"import sys, stages.detection as d; stage = d.HandDetection(); {then}\n"
        f"sys.exit(', '.join(name for name in {heavy.split()} if name in sys.modules) or None)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


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
