"""A camera's calibration out of a file as OpenCV writes it: YAML, XML or JSON.

OpenCV's own reader is not asked: a file can be so nested that the process dies of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import ConfigurationError
from hamba_core.untrusted import DocumentError, parse_document, read_text
from hamba_core.view import Intrinsics

_LARGEST_SIDE = 1 << 20  # px
_COEFFICIENTS = {False: (0, 4, 5, 8, 12, 14), True: (4,)}  # by whether it is a fisheye


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


def load_calibration(path: Path) -> Calibration:
    """Read `camera_matrix`, `distortion_coefficients`, `image_width` and `image_height` as OpenCV writes them.

    The names that OpenCV's older samples wrote are understood too, and `fisheye_model`. Raises ConfigurationError.
    """
    try:
        tree = parse_document(read_text(path))
        if not isinstance(tree, dict):
            raise DocumentError("expected names with values, found none")
        return _calibration(tree)
    except OSError as error:
        raise ConfigurationError(f"{path}: expected a calibration file, found: {error.strerror}") from error
    except DocumentError as error:
        raise ConfigurationError(f"{path}: expected a calibration file (YAML, XML or JSON): {error}") from error


def _calibration(tree: Mapping[str, Any]) -> Calibration:
    matrix = _matrix(tree, "camera_matrix", "Camera_Matrix", "cameraMatrix", "K")
    distortion = _matrix(
        tree, "distortion_coefficients", "Distortion_Coefficients", "dist_coeffs", "distCoeffs", "D"
    )  # fmt: skip
    width, height = _side(tree, "image_width", "image_Width"), _side(tree, "image_height", "image_Height")
    fisheye = bool(_side(tree, "fisheye_model"))
    if matrix is None or matrix.shape != (3, 3) or not width or not height:
        raise DocumentError(
            "expected camera_matrix (3x3), image_width and image_height as OpenCV writes them, found "
            f"camera_matrix {'missing' if matrix is None else matrix.shape}, image {width or '?'}x{height or '?'}"
        )
    if not (np.isfinite(matrix).all() and min(matrix[0, 0], matrix[1, 1]) > 1e-3 and np.abs(matrix).max() < 1e9):
        raise DocumentError("expected camera_matrix to hold focal lengths above 0, found others")
    coefficients = np.zeros(0) if distortion is None else distortion.reshape(-1)
    allowed = _COEFFICIENTS[fisheye]
    if len(coefficients) not in allowed or not np.isfinite(coefficients).all():
        raise DocumentError(
            f"expected distortion_coefficients to be {', '.join(map(str, allowed))} finite numbers, "
            f"found {len(coefficients)}"
        )
    # OpenCV counts pixels from the centre of the first, this project from its corner.
    camera = Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5)
    return Calibration(width, height, camera, matrix, coefficients, fisheye)


def _first(tree: Mapping[str, Any], names: tuple[str, ...]) -> tuple[str, Any]:
    """The first of these names that is there, with its value; no name where none is."""
    return next(((name, tree[name]) for name in names if name in tree), ("", None))


def _matrix(tree: Mapping[str, Any], *names: str) -> NDArray[np.float64] | None:
    """A matrix as OpenCV writes it: its sizes and its data, both of which XML has as text."""
    name, node = _first(tree, names)
    if not name:
        return None
    try:
        sizes = _numbers(node["sizes"] if "sizes" in node else [node["rows"], node["cols"]])
        return _numbers(node["data"]).reshape([int(size) for size in sizes])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DocumentError(f"expected {name} to be a matrix of numbers as OpenCV writes it, found another") from error


def _numbers(value: Any) -> NDArray[np.float64]:
    return np.array(value.split() if isinstance(value, str) else value, dtype=np.float64).reshape(-1)


def _side(tree: Mapping[str, Any], *names: str) -> int:
    """A whole number; 0 where there is none."""
    _, value = _first(tree, names)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return int(number) if isfinite(number) and 0 <= number <= _LARGEST_SIDE else 0
