"""The camera and the lens under which a board's corners are where they were seen: Zhang's method, in OpenCV.

Zhang, "A flexible new technique for camera calibration", PAMI 2000. Distortion is two radial and two tangential
numbers, or the four of OpenCV's fisheye: a third radial one does as it likes where the board was not seen.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import SourceError
from stages.calibration.boards import Board
from stages.calibration.views import View
from stages.common.files import write_whole

Array = NDArray[np.float64]

FEWEST: Final = 8
"""Views, below which nothing is to be had."""
_OUTLIER: Final = 3.0  # times the median error, and a view is left out: its board was moved, or bent


@dataclass(frozen=True, eq=False)
class Solution:
    """A camera as it was measured."""

    size: tuple[int, int]  # px
    matrix: Array  # (3, 3), as OpenCV has it
    distortion: Array  # (4,)
    fisheye: bool
    views: tuple[View, ...]  # that were used
    residuals: tuple[Array, ...]  # (N, 2) px for each, from where a corner was seen to where it should have been
    deviation: float  # px, the standard deviation of the focal length; NaN of a fisheye

    @property
    def error(self) -> float:
        """px, root of the mean square of the residuals' lengths."""
        return float(np.sqrt((np.concatenate(self.residuals) ** 2).sum(1).mean()))

    @property
    def field_of_view(self) -> tuple[float, float]:
        """Degrees, across the picture and down, along its middle."""
        width, height = self.size
        ends = np.array([[[0, height / 2]], [[width, height / 2]], [[width / 2, 0]], [[width / 2, height]]]) - 0.5
        undistort = cv2.fisheye.undistortPoints if self.fisheye else cv2.undistortPoints
        rays = np.asarray(undistort(ends, self.matrix, self.distortion)).reshape(-1, 2)
        angles = np.degrees(np.arctan(rays))
        return float(angles[1, 0] - angles[0, 0]), float(angles[3, 1] - angles[2, 1])

    def write(self, path: Path) -> None:
        """Write it as OpenCV does, YAML. Raises OutputError."""
        text = [
            "%YAML:1.0", "---",
            f"# {len(self.views)} views, error {self.error:.3f} px",
            f"image_width: {self.size[0]}", f"image_height: {self.size[1]}",
            f"fisheye_model: {int(self.fisheye)}",
            *_yaml("camera_matrix", self.matrix),
            *_yaml("distortion_coefficients", self.distortion.reshape(1, -1)),
        ]  # fmt: skip
        write_whole(path, ("\n".join(text) + "\n").encode())


def solve(board: Board, views: list[View], size: tuple[int, int], *, fisheye: bool = False) -> Solution:
    """Return the camera of these views of a board; size in px. Raises SourceError where they do not suffice."""
    if len(views) < FEWEST:
        raise SourceError(
            f"expected the board in at least {FEWEST} frames that differ, found {len(views)}; film it nearer and "
            "farther, tilted, and in every corner of the picture, without blur"
        )
    solution = _solve(board, views, size, fisheye=fisheye)
    errors = np.array([np.sqrt((residuals**2).sum(1).mean()) for residuals in solution.residuals])
    good = [view for view, error in zip(views, errors, strict=True) if error <= _OUTLIER * np.median(errors)]
    return solution if len(good) in (len(views), *range(FEWEST)) else _solve(board, good, size, fisheye=fisheye)


def _solve(board: Board, views: list[View], size: tuple[int, int], *, fisheye: bool) -> Solution:
    points = [board.points[view.corners.ids].reshape(1, -1, 3) for view in views]
    places = [view.corners.places.reshape(1, -1, 2) for view in views]
    matrix, distortion = np.eye(3), np.zeros((4, 1))
    try:
        if fisheye:
            flags = cv2.CALIB_RECOMPUTE_EXTRINSIC | cv2.CALIB_FIX_SKEW
            _, found, lens, turns, shifts = cv2.fisheye.calibrate(points, places, size, matrix, distortion, flags=flags)
            deviation = float("nan")
        else:
            single = [[array.astype(np.float32) for array in arrays] for arrays in (points, places)]
            _, found, lens, turns, shifts, deviations, *_ = cv2.calibrateCameraExtended(
                single[0], single[1], size, matrix, distortion, flags=cv2.CALIB_FIX_K3
            )
            deviation = float(np.asarray(deviations)[0, 0])
    except cv2.error as error:
        raise SourceError(
            "expected views of a flat board from several directions, found none that a camera could have: "
            f"{str(error).splitlines()[0]:.120}; is it the right board, its size right, and the lens no fisheye?"
        ) from error
    matrix, distortion = np.asarray(found, np.float64), np.asarray(lens, np.float64).reshape(-1)[:4]
    project = cv2.fisheye.projectPoints if fisheye else cv2.projectPoints
    residuals = tuple(
        np.asarray(project(point, turn, shift, matrix, distortion)[0]).reshape(-1, 2) - place.reshape(-1, 2)
        for point, place, turn, shift in zip(points, places, turns, shifts, strict=True)
    )
    return Solution(size, matrix, distortion, fisheye, tuple(views), residuals, deviation)


def _yaml(name: str, matrix: Array) -> list[str]:
    numbers = ", ".join(repr(float(number)) for number in matrix.ravel())
    rows, columns = matrix.shape
    return [
        f"{name}: !!opencv-matrix",
        f"   rows: {rows}",
        f"   cols: {columns}",
        "   dt: d",
        f"   data: [ {numbers} ]",
    ]
