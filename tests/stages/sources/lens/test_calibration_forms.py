"""Calibrations as other programs write them, and as people do."""

import re
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.errors import ConfigurationError
from hamba_core.view import Intrinsics
from stages.sources.lens.calibration_file import load_calibration
from stages.sources.lens.intrinsics import CameraModel, folded_share
from stages.sources.settings import LensSettings

PAGE = Path(__file__).parents[4] / "docs" / "calibration.md"
EXAMPLES = re.findall(r"```(?:yaml|text)\n(.*?)```", PAGE.read_text(), re.DOTALL)
MATRIX = np.array([[912.5, 0, 641.5], [0, 910.25, 358.0], [0, 0, 1]])
K = "K: [600, 0, 640, 0, 600, 360, 0, 0, 1]\n"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", EXAMPLES[:5], ids=["OpenCV", "ROS", "Kalibr", "COLMAP", "by hand"])
def test_every_form_on_the_page_is_the_same_camera(tmp_path: Path, text: str) -> None:
    calibration = load_calibration(written(tmp_path, text))
    assert calibration.camera == Intrinsics(912.5, 910.25, 642, 358.5)
    assert (calibration.size, calibration.fisheye) == ((1280, 720), False)
    np.testing.assert_allclose(calibration.distortion[:4], [-0.21, 0.06, 0.001, -0.0005])
    assert not calibration.distortion[4:].any()
    np.testing.assert_allclose(calibration.matrix, MATRIX)


def test_kalibrs_equidistant_lens_is_a_fisheye(tmp_path: Path) -> None:
    calibration = load_calibration(written(tmp_path, EXAMPLES[5]))
    assert (calibration.fisheye, calibration.bends, len(EXAMPLES)) == (True, True, 6)
    np.testing.assert_allclose(calibration.distortion, [-0.02, 0.01, -0.004, 0.0006])


@pytest.mark.parametrize(
    ("text", "distortion", "fisheye"),
    [
        ("width: 1280\nheight: 720\ndistortion_model: equidistant\n"
         "D: [0.1, 0.2, 0.3, 0.4]\nK: [912.5, 0, 641.5, 0, 910.25, 358, 0, 0, 1]\n", [0.1, 0.2, 0.3, 0.4], True),
        ("image_size: [1280, 720]\nfx: 912.5\nfy: 910.25\ncx: 641.5\ncy: 358\n", [], False),
        ("image_size: [1280, 720]\nfx: 912.5\nfy: 910.25\ncx: 641.5\ncy: 358\nD: [0.1, 0.2, 0.3, 0.4]\n"
         "fisheye: true\n", [0.1, 0.2, 0.3, 0.4], True),
        ("image_size: [1280, 720]\nfx: 912.5\nfy: 910.25\ncx: 641.5\ncy: 358\nD: [0.1, 0.2, 0.3, 0.4]\n"
         "camera_model: fisheye\n", [0.1, 0.2, 0.3, 0.4], True),
        ('{"resolution": [1280, 720], "mtx": [[912.5, 0, 641.5], [0, 910.25, 358], [0, 0, 1]], "dist": [[0.1, 0, 0, 0]]}',  # noqa: E501
         [0.1, 0, 0, 0], False),
        ("1 PINHOLE 1280 720 912.5 910.25 642 358.5", [], False),
        ("7\tFULL_OPENCV\t1280 720 912.5 910.25 642 358.5 1e-1 .2 0 0 -0.3 0 0 0.5",
         [0.1, 0.2, 0, 0, -0.3, 0, 0, 0.5], False),
        ("1 OPENCV_FISHEYE 1280 720 912.5 910.25 642 358.5 0.1 0.2 0.3 0.4", [0.1, 0.2, 0.3, 0.4], True),
        ("cam0:\n  camera_model: pinhole\n  distortion_model: none\n  distortion_coeffs: []\n"
         "  intrinsics: [912.5, 910.25, 641.5, 358]\n  resolution: [1280, 720]\n", [], False),
    ],
)  # fmt: skip
def test_other_ways_to_write_it(tmp_path: Path, text: str, distortion: list[float], fisheye: bool) -> None:
    calibration = load_calibration(written(tmp_path, text))
    assert calibration.camera == Intrinsics(912.5, 910.25, 642, 358.5)
    assert (calibration.size, calibration.fisheye) == ((1280, 720), fisheye)
    np.testing.assert_allclose(calibration.distortion, distortion)


def test_a_matrix_without_a_size_is_that_of_the_first_picture(tmp_path: Path) -> None:
    path = written(tmp_path, "camera_matrix: [[600, 0, 320], [0, 600, 240], [0, 0, 1]]")
    model = CameraModel(LensSettings(calibration=path))
    assert model.of(640, 480) == Intrinsics(600, 600, 320.5, 240.5)
    assert model.of(1280, 960) == Intrinsics(1200, 1200, 641, 481)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cam0: {intrinsics: [1, 1, 1, 1]}\ncam1: {intrinsics: [1, 1, 1, 1]}\n", "found 2 of Kalibr's: cam0, cam1"),
        ("1 PINHOLE 10 10 5 5 5 5\n2 PINHOLE 10 10 5 5 5 5\n", "found 2 of COLMAP's: 1, 2"),
        ("1 OPENCV 1280 720 912.5 910.25 642", "expected fx fy cx cy k1 k2 p1 p2 of COLMAP's OPENCV, found 3 numbers"),
        ("1 FOV 1280 720 912.5 910.25 642 358 0.9", "COLMAP's models .* found FOV"),
        ("cam0: {camera_model: omni, intrinsics: [1, 1, 1, 1, 1]}\n", "camera_model pinhole or fisheye, found omni"),
        (f"{K}distortion_model: thin_prism\n", "distortion_model plumb_bob.*found thinprism"),
        ("K: [0, 0, 0, 0, 0, 0, 0, 0, 0]\nwidth: 4\nheight: 3\n", "was the camera calibrated"),
        (f"{K}image_size: [720, 300]\n", "is the size width, height"),
        ("K: [600, 0, 640, 0, 600, 360, 0, 0]\n", r"camera_matrix \(3x3\), found 8"),
        (f"{K}width: 640\n", "found one of them"),
        (f"{K}size: 640\n", "expected size to be width and height, found 640"),
        ("K: [a, b]\n", "expected k to be numbers"),
        ("notes: mine\n", "found none of them"),
    ],
)
def test_what_cannot_be_used_is_said_and_why(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"camera\.yaml: .*{words}"):
        load_calibration(written(tmp_path, text))


def test_a_distortion_that_folds_back_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As where the board was seen in the middle alone: far from there k3 turns the picture inside out."""
    text = "K: [926, 0, 640, 0, 926, 360, 0, 0, 1]\nsize: [1280, 720]\nD: [-0.014, 1.42, 0, 0, -6.4]\n"
    path = written(tmp_path, text)
    model = CameraModel(LensSettings(calibration=path))
    model.of(1280, 720)
    assert "folds back on itself in" in caplog.text
    assert model.choice().fallback
    # Its radius in the picture, r + k1 r^3 + k2 r^5 + k3 r^7, is greatest where that has no slope.
    r = np.sqrt(np.linspace(0, 1, 100_001))
    turn = r[np.argmax(1 + 3 * -0.014 * r**2 + 5 * 1.42 * r**4 - 7 * 6.4 * r**6 < 0)] * 926
    columns, rows = np.meshgrid(np.arange(1280) - 640, np.arange(720) - 360)
    expected = (np.hypot(columns, rows) > turn).mean()
    assert folded_share(load_calibration(path), (1280, 720)) == pytest.approx(expected, abs=0.02)
    assert folded_share(load_calibration(written(tmp_path, EXAMPLES[0])), (1280, 720)) == 0


def test_kalibrs_fisheye_is_made_a_pinhole(tmp_path: Path) -> None:
    model = CameraModel(LensSettings(calibration=written(tmp_path, EXAMPLES[5])))
    camera = model.of(1280, 720)
    points = np.array([[[x, y, 1.0]] for x in (-0.6, 0, 0.6) for y in (-0.4, 0, 0.4)])
    matrix, zero = np.array([[420.0, 0, 639.5], [0, 420, 359.5], [0, 0, 1]]), np.zeros(3)
    seen, _ = cv2.fisheye.projectPoints(points, zero, zero, matrix, np.array([-0.02, 0.01, -0.004, 0.0006]))
    image = np.zeros((720, 1280, 3), np.uint8)
    for x, y in seen.reshape(-1, 2):
        cv2.circle(image, (round(x * 16), round(y * 16)), 6 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    straight = model.undistorted(image)
    rows, columns = np.mgrid[-12:13, -12:13]
    for x, y in camera.project(points.reshape(-1, 3)) - 0.5:
        patch = straight[round(y) - 12 : round(y) + 13, round(x) - 12 : round(x) + 13, 0].astype(float)
        found = np.array([(patch * axis).sum() / patch.sum() for axis in (columns, rows)])
        assert np.linalg.norm(found - (x - round(x), y - round(y))) < 0.5


CAMCHAIN = """cam0:
  camera_model: pinhole
  intrinsics: [400, 400, 319.5, 239.5]
  distortion_model: none
  distortion_coeffs: []
  resolution: [640, 480]
cam1:
  T_cn_cnm1: [[1, 0, 0, -0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
  camera_model: pinhole
  intrinsics: [500, 500, 319.5, 239.5]
  distortion_model: none
  distortion_coeffs: []
  resolution: [640, 480]
"""
COLMAPS = "# cameras\n1 PINHOLE 640 480 400 400 320 240\n7 PINHOLE 640 480 500 500 320 240\n"


@pytest.mark.parametrize(
    ("text", "choices"),
    [(CAMCHAIN, {"cam0": 400, "cam1": 500, "1": 500}), (COLMAPS, {"1": 400, "7": 500})],
    ids=["Kalibr", "COLMAP"],
)
def test_of_several_cameras_one_is_chosen(tmp_path: Path, text: str, choices: dict[str, float]) -> None:
    path = written(tmp_path, text)
    for name, focal in choices.items():
        assert load_calibration(path, name).camera.fx == focal
        assert CameraModel(LensSettings(calibration=path, calibrated_camera=name)).of(640, 480).fx == focal
    with pytest.raises(ConfigurationError, match=r"found 2 of .*choose one with source\.lens\.calibrated_camera"):
        load_calibration(path)
    with pytest.raises(ConfigurationError, match="expected the camera cam9, found "):
        load_calibration(path, "cam9")


def test_a_choice_where_there_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="expected the camera cam1, found no cameras with names"):
        load_calibration(written(tmp_path, K + "width: 1280\nheight: 720\n"), "cam1")
    with pytest.raises(ValueError, match="expected a calibration with calibrated_camera"):
        LensSettings(calibrated_camera="cam1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 PINHOLE 640 480 e - + .\n", "expected the numbers of a camera to be numbers"),
        (f"1 PINHOLE {'9' * 5000} 480 500 500 320 240\n", "expected the picture's width and height"),
        (f"1 PINHOLE {'9' * 400} {'9' * 400} 500 500 320 240\n", "expected the picture's width and height"),
        ("1 SIMPLE_RADIAL 0 0 500 0 0 0\n", "expected the picture's width and height"),
        ("fx: []\nfy: 1\ncx: 1\ncy: 1\n", "expected fx, fy, cx and cy to be a number each"),
        ("fx: 1\nfy: 1\ncx: [1, 2]\ncy: 1\n", "expected fx, fy, cx and cy to be a number each"),
        ("K: [600, 0, 640, 0, 600, 360, 0, 0, 0]\nD: [1, 1, 1, 1]\n", "expected camera_matrix to be rows"),
        ("K: [600, 0, 640, 9, 600, 360, 0, 0, 1]\n", "expected camera_matrix to be rows"),
        (f"K: [600, 0, 640, 0, 600, 360, 0, 0, 1]\nsize: [0x{'f' * 5000}, 1]\n", "5002 letters"),
        ("K: !!timestamp then\n", "which is no timestamp"),
    ],
)
def test_what_is_no_camera_is_told_in_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"camera.yaml: .*{words}"):
        load_calibration(written(tmp_path, text))


TOKENS = st.sampled_from(
    ["K: ", "D: ", "fx: ", "fy: ", "cx: ", "cy: ", "size: ", "width: ", "height: ", "intrinsics: ", "cam0: ", "data: ",
     "sizes: ", "rows: 3", "cols: 3", "distortion_model: ", "fisheye", "camera_model: ", "1 PINHOLE ", "1 OPENCV ",
     "640", " 480", "\n", "\n  ", "{", "}", "[", "]", ", ", "500", " 0", "-1", ".nan", "1e400", "9" * 30, "1 e ",
     "null", "[600, 0, 640, 0, 600, 360, 0, 0, 1]", "0.1"]
)  # fmt: skip


@given(st.lists(TOKENS, max_size=25).map("".join), st.booleans())
def test_any_text_is_a_camera_or_the_one_error(text: str, after: bool) -> None:
    with TemporaryDirectory() as folder, suppress(ConfigurationError):
        path = written(Path(folder), (K if after else "") + text)
        CameraModel(LensSettings(calibration=path)).of(1280, 720)


@pytest.mark.parametrize("number", ["1e300", "1e-9", "2e9"])
def test_numbers_that_no_result_could_carry_are_refused_with_the_file(number: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"fx: {number}\nfy: {number}\ncx: 320\ncy: 240\n")
    with pytest.raises(
        ConfigurationError, match=r"camera.yaml: .*expected focal lengths and a principal point in pixels"
    ):
        load_calibration(path)
