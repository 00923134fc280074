from collections.abc import Callable
from math import radians, tan
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hamba_core.errors import ConfigurationError
from hamba_core.view import Intrinsics
from stages.packets import Image
from stages.sources.lens.calibration_file import load_calibration
from stages.sources.lens.intrinsics import CameraModel
from stages.sources.lens.lens_guess import PICTURES
from stages.sources.settings import LensSettings

Fixture = Callable[..., Any]
K = np.array([[520.0, 0, 322.5], [0, 515.0, 236.5], [0, 0, 1]])
DISTORTION = np.array([-0.28, 0.09, 0.001, -0.0005, -0.01])


def written(path: Path, distortion: NDArray[np.float64] = DISTORTION, **extra: int) -> Path:
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 640)
    storage.write("image_height", 480)
    storage.write("camera_matrix", K)
    storage.write("distortion_coefficients", distortion)
    for name, value in extra.items():
        storage.write(name, value)
    storage.release()
    return path


def test_nothing_given_is_an_estimate_that_says_so() -> None:
    model = CameraModel(LensSettings())
    assert model.of(640, 480) == PICTURES.camera(640, 480)
    assert model.choice().chosen == "estimated"


def test_given_values_are_those_of_the_first_picture_and_scale_with_its_size() -> None:
    model = CameraModel(LensSettings(fx=500, fy=510, cx=330, cy=250))
    assert model.of(640, 480) == Intrinsics(500, 510, 330, 250)
    assert model.of(1280, 960) == Intrinsics(1000, 1020, 660, 500)
    assert model.choice().chosen == "given"


def test_a_picture_of_another_shape_gets_an_estimate_and_the_report_says_so() -> None:
    model = CameraModel(LensSettings(fx=500, fy=510, cx=330, cy=250))
    model.of(640, 480)
    assert model.of(480, 640) == PICTURES.camera(480, 640)
    assert model.choice().fallback
    assert "480x640" in model.choice().reason


def test_a_principal_point_outside_the_picture_is_of_another_resolution() -> None:
    with pytest.raises(ConfigurationError, match="another resolution"):
        CameraModel(LensSettings(fx=1000, fy=1000, cx=960, cy=540)).of(640, 480)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (333, 100)])
def test_a_field_of_view_spans_the_longer_side_of_every_picture(size: tuple[int, int]) -> None:
    camera = CameraModel(LensSettings(field_of_view=70)).of(*size)
    assert camera.fx == pytest.approx(max(size) / 2 / tan(radians(35)))
    assert not camera.estimated


@pytest.mark.parametrize("suffix", ["yaml", "yml", "xml", "json"])
def test_a_calibration_is_read_as_opencv_writes_it(tmp_path: Path, suffix: str) -> None:
    calibration = load_calibration(written(tmp_path / f"camera.{suffix}"))
    assert (calibration.size, calibration.fisheye) == ((640, 480), False)
    np.testing.assert_allclose(calibration.matrix, K)
    np.testing.assert_allclose(calibration.distortion, DISTORTION)


def test_opencv_counts_from_the_centre_of_the_first_pixel(tmp_path: Path) -> None:
    model = CameraModel(LensSettings(calibration=written(tmp_path / "camera.yaml")))
    assert model.of(640, 480) == Intrinsics(520, 515, 323, 237)
    assert model.of(1280, 960) == Intrinsics(1040, 1030, 646, 474)


def dots_of(camera_matrix: NDArray[np.float64], distortion: Any, fisheye: bool) -> tuple[Image, NDArray[np.float64]]:
    """A picture of white dots as the lens sees them, and the dots in space."""
    grid = np.stack(np.meshgrid(np.linspace(-0.4, 0.4, 5), np.linspace(-0.3, 0.3, 4)), -1).reshape(-1, 1, 2)
    points = np.concatenate([grid, np.ones_like(grid[..., :1])], -1)
    zero = np.zeros(3)
    if fisheye:
        seen, _ = cv2.fisheye.projectPoints(points, zero, zero, camera_matrix, distortion)
    else:
        seen, _ = cv2.projectPoints(points, zero, zero, camera_matrix, distortion)
    image = np.zeros((480, 640, 3), np.uint8)
    for x, y in seen.reshape(-1, 2):
        cv2.circle(image, (round(x * 16), round(y * 16)), 4 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    return image, points.reshape(-1, 3)


def centres(image: Image) -> NDArray[np.float64]:
    """Centres of the dots in pixels from the picture's corner."""
    count, labels = cv2.connectedComponents((image[..., 0] > 60).astype(np.uint8))
    weights = image[..., 0].astype(float)
    found = []
    for label in range(1, count):
        rows, columns = np.nonzero(labels == label)
        weight = weights[rows, columns]
        found.append(((columns * weight).sum() / weight.sum() + 0.5, (rows * weight).sum() / weight.sum() + 0.5))
    return np.array(found)


@pytest.mark.parametrize(("fisheye", "distortion"), [(False, DISTORTION), (True, np.array([-0.02, 0.01, 0, 0]))])
@pytest.mark.parametrize("factor", [1, 2])
def test_undistorted_pictures_agree_with_the_pinhole(
    tmp_path: Path, fisheye: bool, distortion: NDArray[np.float64], factor: int
) -> None:
    image, points = dots_of(K, distortion, fisheye)
    if factor == 2:
        image = np.asarray(cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_LINEAR), np.uint8)
    path = written(tmp_path / "camera.yaml", distortion, fisheye_model=int(fisheye))
    model = CameraModel(LensSettings(calibration=path))
    camera = model.of(640 * factor, 480 * factor)
    expected = camera.project(points)
    before, after = centres(image), centres(model.undistorted(image))

    def error(found: NDArray[np.float64]) -> float:
        return float(np.linalg.norm(found[:, None] - expected[None], axis=-1).min(0).max())

    assert error(after) < 0.35 * factor
    assert error(before) > 5 * factor


def test_a_calibration_without_distortion_leaves_pictures_alone(tmp_path: Path) -> None:
    model = CameraModel(LensSettings(calibration=written(tmp_path / "camera.yaml", np.zeros(5))))
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)
    assert model.undistorted(image) is image
    assert "no distortion" in model.choice().chosen


def test_a_calibration_of_another_shape_is_refused(tmp_path: Path) -> None:
    model = CameraModel(LensSettings(calibration=written(tmp_path / "camera.yaml")))
    with pytest.raises(ConfigurationError, match="640x480"):
        model.of(1920, 1080)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "%YAML:1.0\n---\nimage_width: 640\n",
        "%YAML:1.0\n---\nimage_width: 640\nimage_height: 480\ncamera_matrix: 7\n",
        "%YAML:1.0\n---\n: : :\n",
        "{",
        "<?xml version='1.0'?><opencv_storage><camera_matrix>",
        "<opencv_storage>" + "<a>" * 100_000,
        '{"image_width": 640, "image_height": 480, "camera_matrix": {"rows": 3, "cols": 3, "data": "$base64$AAAA"}}',
        '{"image_width": 1e400, "image_height": 480}',
        "image_width: 640\nimage_height: 480\ncamera_matrix: {rows: 3, cols: 3, data: [.nan,0,0,0,1,0,0,0,1]}\n",
        "image_width: 640\nimage_height: 480\nK: {rows: 3, cols: 3, data: [1,0,0,0,1,0,0,0,1]}\nD: [[[1]]]\n",
        "image_width: 640\nimage_height: 480\ncamera_matrix: {rows: 99999999999, cols: -1, data: [1]}\n",
    ],
)
def test_a_file_that_is_no_calibration_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"camera\.yaml"):
        load_calibration(path)


def test_a_missing_calibration_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"gone\.yaml"):
        CameraModel(LensSettings(calibration=tmp_path / "gone.yaml"))


def test_a_wrong_number_of_coefficients_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="found 3"):
        load_calibration(written(tmp_path / "camera.yaml", np.zeros(3)))


def test_a_rotated_video_takes_the_camera_of_the_upright_picture(
    make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "phone.mp4", 2, setup=lambda stream: stream.set_display_rotation(-90))
    reading = read(path, fx=80, fy=81, cx=30, cy=50)
    assert (reading.info.width, reading.info.height) == (64, 96)
    assert reading.frames[0].meta.camera == Intrinsics(80, 81, 30, 50)


def test_a_source_fails_in_open_where_the_camera_does_not_fit(
    make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "clip.mp4", 2)
    assert isinstance(read(path, fx=80, fy=81, cx=300, cy=50).error, ConfigurationError)
    missing = read(path, lens={"calibration": tmp_path / "gone.yaml"})
    assert isinstance(missing.error, ConfigurationError)
