"""The pinhole camera of a picture is given, read from a calibration file, or estimated.

A given camera is that of the upright picture as shown. It is scaled to a picture of another size and the same shape.
For a picture of another shape it is not known what was cut off, so the camera is estimated anew, and the log says so.
"""

import logging
from math import radians

import numpy as np

from hamba_core.errors import ConfigurationError
from hamba_core.view import Intrinsics
from stages.packets import Choice, Image
from stages.sources.lens.calibration_file import Calibration, load_calibration
from stages.sources.lens.lens_guess import PICTURES, LensGuess
from stages.sources.settings import LensSettings

logger = logging.getLogger(__name__)

_SHAPE_TOLERANCE = 0.01  # relative; a size rounded to whole or even pixels changes the shape by less
_MAX_CACHED_SIZES = 4
_FOLDED = 0.005  # of a picture
_PHOTOGRAPHED = 0.03  # relative standard deviation of a focal length in EXIF, which is rounded to millimetres


class CameraModel:
    """It gives every picture its camera, and takes the lens's distortion out of it if a calibration knows it."""

    def __init__(self, settings: LensSettings, guess: LensGuess = PICTURES) -> None:
        self._settings = settings
        self._guess = guess
        self._calibration = (
            load_calibration(settings.calibration, settings.calibrated_camera) if settings.calibration else None
        )
        self._first: tuple[int, int] | None = None
        self._known: dict[tuple[int, int, float | None], Intrinsics] = {}
        self._maps: dict[tuple[int, int], tuple[Image, Image]] = {}
        self._foreign: tuple[int, int] | None = None  # a size to which the given camera does not belong
        self._focal_35mm: float | None = None
        self._folded = 0.0  # the share of the picture in which the distortion folds back

    def assume(self, guess: LensGuess) -> None:
        """Take this lens unless one is given. Call it before the first picture."""
        self._guess = guess

    def of(self, width: int, height: int, focal_35mm: float | None = None) -> Intrinsics:
        """Return the camera of a picture of this size. Raises ConfigurationError if none fits the first picture."""
        key = (width, height, focal_35mm)
        camera = self._known.get(key)
        if camera is None:
            if len(self._known) > 1000:  # a folder in which every picture has a size of its own
                self._known.clear()
            camera = self._known[key] = self._make(width, height, focal_35mm)
        return camera

    def undistorted(self, image: Image) -> Image:
        """Return the picture as a pinhole would have taken it."""
        if self._calibration is None or not self._calibration.bends:
            return image
        import cv2

        height, width = image.shape[:2]
        calibrated = self._calibration.size or self._first or (width, height)
        if not _same_shape((width, height), calibrated):
            return image
        if (width, height) not in self._maps:
            if len(self._maps) >= _MAX_CACHED_SIZES:
                self._maps.clear()
            self._maps[width, height] = _undistortion(self._calibration, calibrated, width, height)
        return np.asarray(cv2.remap(image, *self._maps[width, height], cv2.INTER_LINEAR), np.uint8)

    def choice(self) -> Choice:
        """Return how the camera came to be known, for the report."""
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
            folded = f"; folds back in {100 * self._folded:.0f} % of the picture" if self._folded else ""
            return Choice(subject, f"calibration ({lens})", f"from {settings.calibration}{folded}", bool(folded))
        if settings.fx is not None:
            return Choice(subject, "given", "fx, fy, cx, cy in the settings")
        if settings.field_of_view is not None:
            return Choice(subject, "given", f"a field of view of {settings.field_of_view:g}° in the settings")
        if self._focal_35mm is not None:
            return Choice(
                subject, "estimated", f"from the photograph's EXIF: {self._focal_35mm:g} mm in terms of 35 mm film"
            )
        size = self._first or (4, 3)
        angle = round(float(np.degrees(2 * np.arctan(max(size) / 2 / self._guess.camera(*size).fx))))
        return Choice(
            subject,
            "estimated",
            f"{self._guess.reason}: a field of view of {angle}° along the longer side is assumed, give or take "
            f"{self._guess.focal_std:.0%}; depth scales with it: set source.lens.field_of_view, or "
            "source.lens.calibration, for true distances",
        )

    def _make(self, width: int, height: int, focal_35mm: float | None) -> Intrinsics:
        settings = self._settings
        first = self._first is None
        if self._first is None:
            self._first = (width, height)
        given: Intrinsics | None = None
        reference = self._first
        if self._calibration is not None:
            given, reference = self._calibration.camera, self._calibration.size or self._first
        elif settings.fx is not None:
            given = self._pinhole(reference)
        elif settings.field_of_view is not None:
            return Intrinsics.from_field_of_view(radians(settings.field_of_view), width, height)
        if given is not None:
            if self._calibration is not None and first:
                self._check_reach(self._calibration, reference)
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
            return LensGuess(focal_35mm, _PHOTOGRAPHED, "EXIF").camera(width, height)
        return self._guess.camera(width, height)

    def _check_reach(self, calibration: Calibration, size: tuple[int, int]) -> None:
        """Warn if the distortion folds back: beyond the places where the board was seen it may take any value."""
        share = folded_share(calibration, size)
        if share > _FOLDED:
            self._folded = share
            logger.warning(
                "%s: the distortion folds back on itself in %.0f %% of the picture, and what is there will be wrong; "
                "calibrate with the board at the borders and in the corners too",
                self._settings.calibration,
                100 * share,
            )

    def _pinhole(self, size: tuple[int, int]) -> Intrinsics:
        fx, fy, cx, cy = (getattr(self._settings, name) for name in ("fx", "fy", "cx", "cy"))
        if not (0 <= cx <= size[0] and 0 <= cy <= size[1]):
            raise ConfigurationError(
                f"source.cx, source.cy: expected a principal point inside the picture of {_size(size)}, found "
                f"({cx:g}, {cy:g}); are they of another resolution? Scale all four values to this one"
            )
        return Intrinsics(fx, fy, cx, cy)


def _undistortion(
    calibration: Calibration, calibrated: tuple[int, int], width: int, height: int
) -> tuple[Image, Image]:
    """Return maps for cv2.remap that keep the focal lengths and the principal point of the calibration."""
    import cv2

    sx, sy = width / calibrated[0], height / calibrated[1]
    matrix = calibration.matrix.copy()
    matrix[0] *= sx
    matrix[1] *= sy
    # Scaling happens about the corner of the picture, OpenCV's origin is half a pixel off it.
    matrix[0, 2] = (calibration.matrix[0, 2] + 0.5) * sx - 0.5
    matrix[1, 2] = (calibration.matrix[1, 2] + 0.5) * sy - 0.5
    make = cv2.fisheye.initUndistortRectifyMap if calibration.fisheye else cv2.initUndistortRectifyMap
    return make(matrix, calibration.distortion, np.eye(3), matrix, (width, height), cv2.CV_16SC2)  # type: ignore[return-value]


def folded_share(calibration: Calibration, size: tuple[int, int]) -> float:
    """Return the share of the undistorted picture whose place in the distorted one goes back as one goes outwards."""
    import cv2

    if not calibration.bends:
        return 0.0
    width, height = size
    columns, rows = np.meshgrid(np.linspace(0, width - 1, 64), np.linspace(0, height - 1, 48))
    rays = np.linalg.inv(calibration.matrix) @ np.stack([columns.ravel(), rows.ravel(), np.ones(columns.size)])
    rays, zero = rays.T.reshape(-1, 1, 3), np.zeros(3)
    project = cv2.fisheye.projectPoints if calibration.fisheye else cv2.projectPoints
    steps = [
        project(rays * (scale, scale, 1), zero, zero, calibration.matrix, calibration.distortion)[0].reshape(-1, 2)
        for scale in (1.0, 1.01)
    ]
    centre = calibration.matrix[:2, 2]
    outwards = ((steps[1] - steps[0]) * (np.stack([columns.ravel(), rows.ravel()], 1) - centre)).sum(1)
    return float((outwards < 0).mean())


def _same_shape(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return abs(a[0] * b[1] - a[1] * b[0]) <= _SHAPE_TOLERANCE * a[0] * b[1]


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
