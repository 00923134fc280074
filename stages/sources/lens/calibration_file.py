"""A camera's calibration is read from a file of OpenCV, ROS, Kalibr or COLMAP, or by hand (docs/calibration.md).

OpenCV's own reader is not used: a file can be so nested that the process dies of it.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import ConfigurationError
from hamba_core.untrusted import DocumentError, parse_document, read_text
from hamba_core.view import Intrinsics
from stages.sources.lens.calibration_forms import Lens, lens_of_colmap, lens_of_tree

_COEFFICIENTS = {False: (0, 4, 5, 8, 12, 14), True: (4,)}  # by whether it is a fisheye


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a calibration file says, for pictures of its own size."""

    size: tuple[int, int] | None  # px, width and height; none where the file does not tell
    camera: Intrinsics
    matrix: NDArray[np.float64]  # (3, 3) as OpenCV has it: the centre of the first pixel is the origin
    distortion: NDArray[np.float64]  # (N,), empty where there is none
    fisheye: bool

    @property
    def bends(self) -> bool:
        """Whether the lens distorts: its pictures are not those of a pinhole."""
        return self.fisheye or bool(self.distortion.any())


_SKEW = 1e-6  # px
_LEAST, _MOST = 1e-3, 1e9  # px, as settings have it
"""Between these are focal lengths that results can be published and recorded with."""


def load_calibration(path: Path, camera: str | None = None) -> Calibration:
    """Read a calibration, whichever program has written it; `camera` names one of several in it.

    Raises ConfigurationError.
    """
    try:
        text = read_text(path)
        lens = lens_of_colmap(text, camera)
        if lens is None:
            tree = parse_document(text)
            if not isinstance(tree, dict):
                raise DocumentError("expected names with values, found none")
            lens = lens_of_tree(tree, camera)
        return _checked(lens)
    except OSError as error:
        raise ConfigurationError(f"{path}: expected a calibration file, found: {error.strerror}") from error
    except DocumentError as error:
        raise ConfigurationError(
            f"{path}: expected a calibration of OpenCV's, ROS's, Kalibr's or COLMAP's: {error} (docs/calibration.md)"
        ) from error


def _checked(lens: Lens) -> Calibration:
    matrix, distortion = lens.matrix, lens.distortion
    if not (np.isfinite(matrix).all() and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise DocumentError("expected focal lengths above 0, found others; was the camera calibrated?")
    if not np.allclose(matrix[2], (0, 0, 1)) or abs(matrix[1, 0]) > _SKEW or abs(matrix[0, 1]) > _MOST:
        raise DocumentError(
            "expected camera_matrix to be rows of fx, 0, cx and 0, fy, cy above 0, 0, 1, found another matrix"
        )
    numbers = matrix[[0, 1, 0, 1], [0, 1, 2, 2]]
    if (np.abs(numbers) > _MOST).any() or (numbers[:2] < _LEAST).any():
        raise DocumentError(
            f"expected focal lengths and a principal point in pixels, found {', '.join(f'{n:g}' for n in numbers)}"
        )
    allowed = _COEFFICIENTS[lens.fisheye]
    if len(distortion) not in allowed or not np.isfinite(distortion).all():
        raise DocumentError(
            f"expected distortion_coefficients to be {', '.join(map(str, allowed))} finite numbers, "
            f"found {len(distortion)}"
        )
    # OpenCV counts pixels from the centre of the first, this project from its corner.
    camera = Intrinsics(matrix[0, 0], matrix[1, 1], matrix[0, 2] + 0.5, matrix[1, 2] + 0.5)
    if lens.size is not None and not (0 <= camera.cx <= lens.size[0] and 0 <= camera.cy <= lens.size[1]):
        raise DocumentError(
            f"expected the principal point inside the picture of {lens.size[0]}x{lens.size[1]}, found "
            f"({camera.cx:g}, {camera.cy:g}); is the size width, height, and that of the calibrated pictures?"
        )
    return Calibration(lens.size, camera, matrix, distortion, lens.fisheye)
