"""The pinhole camera of a picture: given, from a calibration file, or estimated.

A given camera is that of the upright picture as shown. It is scaled to a picture of another size and the same shape;
for a picture of another shape nobody can say what was cut off, so there it is estimated anew, and that is said.
"""

import logging
from dataclasses import dataclass
from math import hypot, isfinite, radians
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import ConfigurationError
from hamba_core.view import ESTIMATED_FIELD_OF_VIEW, Intrinsics
from stages.packets import Choice, Image
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

FILM_DIAGONAL = hypot(36.0, 24.0)
"""mm; a focal length "in 35 mm film" is that which spans the same diagonal on it (CIPA DCG-001)."""

_SHAPE_TOLERANCE = 0.01  # relative; a size rounded to whole or even pixels changes the shape by less
_MAX_CACHED_SIZES = 4


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a calibration file says, for pictures of its own size."""

    width: int
    height: int
    camera: Intrinsics
    matrix: NDArray[np.float64]  # (3, 3) as OpenCV has it: the centre of the first pixel is the origin
    distortion: NDArray[np.float64]  # (N,), empty where there is none
    fisheye: bool

    @property
    def bends(self) -> bool:
        """Whether its pictures are not those of a pinhole."""
        return self.fisheye or bool(self.distortion.any())


class CameraModel:
    """Gives every picture its camera, and takes the lens's distortion out of it where a calibration knows it."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._calibration = load_calibration(settings.calibration) if settings.calibration else None
        self._first: tuple[int, int] | None = None
        self._known: dict[tuple[int, int, float | None], Intrinsics] = {}
        self._maps: dict[tuple[int, int], tuple[Image, Image]] = {}
        self._foreign: tuple[int, int] | None = None  # a size to which the given camera does not belong
        self._focal_35mm: float | None = None

    def of(self, width: int, height: int, focal_35mm: float | None = None) -> Intrinsics:
        """The camera of a picture of this size. Raises ConfigurationError for the first, where it does not fit."""
        key = (width, height, focal_35mm)
        camera = self._known.get(key)
        if camera is None:
            if len(self._known) > 1000:  # a folder in which every picture has a size of its own
                self._known.clear()
            camera = self._known[key] = self._make(width, height, focal_35mm)
        return camera

    def undistorted(self, image: Image) -> Image:
        """The picture as a pinhole would have taken it."""
        if self._calibration is None or not self._calibration.bends:
            return image
        import cv2

        height, width = image.shape[:2]
        if not _same_shape((width, height), (self._calibration.width, self._calibration.height)):
            return image
        if (width, height) not in self._maps:
            if len(self._maps) >= _MAX_CACHED_SIZES:
                self._maps.clear()
            self._maps[width, height] = _undistortion(self._calibration, width, height)
        return np.asarray(cv2.remap(image, *self._maps[width, height], cv2.INTER_LINEAR), np.uint8)

    def choice(self) -> Choice:
        """How the camera came to be known, for the report."""
        subject = "camera intrinsics"
        settings = self._settings
        if self._foreign is not None:
            return Choice(
                subject,
                "estimated for some pictures",
                f"the given camera does not belong to pictures of {_size(self._foreign)}, whose shape is another",
                fallback=True,
            )
        if self._calibration is not None:
            lens = "undistorted" if self._calibration.bends else "no distortion"
            return Choice(subject, f"calibration ({lens})", f"from {settings.calibration}")
        if settings.fx is not None:
            return Choice(subject, "given", "fx, fy, cx, cy in the settings")
        if settings.field_of_view is not None:
            return Choice(subject, "given", f"a field of view of {settings.field_of_view:g}° in the settings")
        if self._focal_35mm is not None:
            return Choice(
                subject, "estimated", f"from the photograph's EXIF: {self._focal_35mm:g} mm in terms of 35 mm film"
            )
        angle = round(np.degrees(ESTIMATED_FIELD_OF_VIEW))
        return Choice(
            subject,
            "estimated",
            f"a field of view of {angle}° along the longer side is assumed; depth scales with it: "
            "set source.field_of_view, or source.calibration, for true distances",
        )

    def _make(self, width: int, height: int, focal_35mm: float | None) -> Intrinsics:
        settings = self._settings
        first = self._first is None
        if self._first is None:
            self._first = (width, height)
        given: Intrinsics | None = None
        reference = self._first
        if self._calibration is not None:
            given, reference = self._calibration.camera, (self._calibration.width, self._calibration.height)
        elif settings.fx is not None:
            given = self._pinhole(reference)
        elif settings.field_of_view is not None:
            return Intrinsics.from_field_of_view(radians(settings.field_of_view), width, height)
        if given is not None:
            if _same_shape((width, height), reference):
                return given.scaled(width / reference[0], height / reference[1])
            if first:
                raise ConfigurationError(
                    f"{settings.calibration}: expected a calibration of upright pictures shaped as these, "
                    f"{width}x{height}, found one of {_size(reference)}; calibrate with pictures as they are shown"
                )
            logger.warning(
                "pictures of %dx%d: the given camera belongs to %s, whose shape is another; it is estimated here",
                width,
                height,
                _size(reference),
            )
            self._foreign = (width, height)
        if focal_35mm is not None:
            self._focal_35mm = focal_35mm
            focal = focal_35mm / FILM_DIAGONAL * hypot(width, height)
            return Intrinsics(focal, focal, width / 2, height / 2, estimated=True)
        return Intrinsics.estimate(width, height)

    def _pinhole(self, size: tuple[int, int]) -> Intrinsics:
        fx, fy, cx, cy = (getattr(self._settings, name) for name in ("fx", "fy", "cx", "cy"))
        if not (0 <= cx <= size[0] and 0 <= cy <= size[1]):
            raise ConfigurationError(
                f"source.cx, source.cy: expected a principal point inside the picture of {_size(size)}, found "
                f"({cx:g}, {cy:g}); are they of another resolution? Scale all four values to this one"
            )
        return Intrinsics(fx, fy, cx, cy)


def load_calibration(path: Path) -> Calibration:
    """Read `camera_matrix`, `distortion_coefficients`, `image_width` and `image_height` as OpenCV writes them.

    The names that OpenCV's older samples wrote are understood too, and `fisheye_model`. Raises ConfigurationError.
    """
    import cv2

    path = path.expanduser()
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: expected a calibration file of OpenCV's, found: {error}") from error
    try:
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
    except (cv2.error, SystemError) as error:
        raise ConfigurationError(
            f"{path}: expected a calibration file of OpenCV's (YAML, XML or JSON), found something else"
        ) from error
    try:
        matrix = _matrix(storage, path, "camera_matrix", "Camera_Matrix", "cameraMatrix", "K")
        distortion = _matrix(
            storage, path, "distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "distCoeffs", "D"
        )
        width = _number(storage, "image_width", "image_Width")
        height = _number(storage, "image_height", "image_Height")
        fisheye = bool(_number(storage, "fisheye_model"))
    finally:
        storage.release()
    if matrix is None or matrix.shape != (3, 3) or not width or not height:
        raise ConfigurationError(
            f"{path}: expected camera_matrix (3x3), image_width and image_height as OpenCV writes them, found "
            f"camera_matrix {'missing' if matrix is None else matrix.shape}, image {width or '?'}x{height or '?'}"
        )
    coefficients = np.zeros(0) if distortion is None else distortion.reshape(-1)
    allowed = (4,) if fisheye else (0, 4, 5, 8, 12, 14)
    if len(coefficients) not in allowed or not np.isfinite(coefficients).all():
        raise ConfigurationError(
            f"{path}: expected distortion_coefficients to be {', '.join(map(str, allowed))} finite numbers, "
            f"found {len(coefficients)}"
        )
    # OpenCV counts pixels from the centre of the first, this project from its corner.
    camera = Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5)
    return Calibration(width, height, camera, matrix, coefficients, fisheye)


def _matrix(storage: "object", path: Path, *names: str) -> NDArray[np.float64] | None:
    import cv2

    for name in names:
        node = storage.getNode(name)  # type: ignore[attr-defined]
        if node.empty():
            continue
        try:
            value = node.mat()
        except (cv2.error, SystemError) as error:
            raise ConfigurationError(f"{path}: expected {name} to be a matrix as OpenCV writes it") from error
        if value is None:
            raise ConfigurationError(f"{path}: expected {name} to be a matrix as OpenCV writes it")
        return np.asarray(value, np.float64)
    return None


def _number(storage: "object", *names: str) -> int:
    for name in names:
        node = storage.getNode(name)  # type: ignore[attr-defined]
        if not node.empty() and (node.isInt() or node.isReal()):
            value = float(node.real())
            return int(value) if isfinite(value) else 0
    return 0


def _undistortion(calibration: Calibration, width: int, height: int) -> tuple[Image, Image]:
    """Maps for cv2.remap that keep the focal lengths and the principal point of the calibration."""
    import cv2

    sx, sy = width / calibration.width, height / calibration.height
    matrix = calibration.matrix.copy()
    matrix[0] *= sx
    matrix[1] *= sy
    # Scaling happens about the corner of the picture, OpenCV's origin is half a pixel off it.
    matrix[0, 2] = (calibration.matrix[0, 2] + 0.5) * sx - 0.5
    matrix[1, 2] = (calibration.matrix[1, 2] + 0.5) * sy - 0.5
    make = cv2.fisheye.initUndistortRectifyMap if calibration.fisheye else cv2.initUndistortRectifyMap
    return make(matrix, calibration.distortion, np.eye(3), matrix, (width, height), cv2.CV_16SC2)  # type: ignore[return-value]


def _same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return abs(a[0] * b[1] - a[1] * b[0]) <= _SHAPE_TOLERANCE * a[0] * b[1]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
