"""Boards whose corners are at known places: a chessboard, or a ChArUco board, of which a part is enough."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import ConfigurationError
from stages.packets import Image

Array = NDArray[np.float64]

MARKER_SHARE: Final = 0.72
"""Of a ChArUco board's marker in its square, unless told otherwise."""
DICTIONARY: Final = "4X4_50"

_FEWEST_CORNERS: Final = 6  # of a board that is seen in part
_DPI: Final = 300
_A4: Final = (297.0, 210.0)  # mm, landscape


class Corners(NamedTuple):
    """A board's corners in a picture."""

    ids: NDArray[np.int64]  # (N,) which they are
    places: Array  # (N, 2) px, from the centre of the first pixel, as OpenCV counts


@dataclass(frozen=True)
class Board:
    """A board, and how it is found in a picture."""

    points: Array  # (corners, 3) m, in its plane z = 0
    find: Callable[[Image], Corners | None]
    """Corners in a grey picture (H, W), or none where it is not seen, or too little of it."""


def chessboard(columns: int, rows: int, square: float) -> Board:
    """Return a chessboard of so many inner corners, squares of this many metres. It has to be seen as a whole."""
    if min(columns, rows) < 3:
        raise ConfigurationError(
            f"--chessboard: expected at least 3x3 inner corners, found {columns}x{rows}; count those between squares"
        )

    def find(grey: Image) -> Corners | None:
        found, corners = cv2.findChessboardCornersSB(grey, (columns, rows), flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
        if not found:
            return None
        return Corners(np.arange(columns * rows), np.asarray(corners, np.float64).reshape(-1, 2))

    return Board(_grid(columns, rows, square), find)


def charuco(columns: int, rows: int, square: float, marker: float | None = None, dictionary: str = DICTIONARY) -> Board:
    """Return a ChArUco board of so many squares; square and marker in metres. A part of it is enough."""
    board = _charuco(columns, rows, square, marker or MARKER_SHARE * square, dictionary)
    detector = cv2.aruco.CharucoDetector(board)

    def find(grey: Image) -> Corners | None:
        corners, ids, _, _ = detector.detectBoard(grey)
        if ids is None or len(ids) < _FEWEST_CORNERS:
            return None
        return Corners(ids.reshape(-1).astype(np.int64), np.asarray(corners, np.float64).reshape(-1, 2))

    return Board(_grid(columns - 1, rows - 1, square), find)


def tag(number: int, size: float, dictionary: str) -> Board:
    """Return a single square marker, an AprilTag or one of ArUco's, with its origin in the middle; `size` in metres.

    It is the black square's side, without the white around it.
    """
    markers = _dictionary(dictionary, "tag")
    if not 0 <= number < len(markers.bytesList):
        raise ConfigurationError(
            f"tag: expected one of the {len(markers.bytesList)} of {dictionary}, counted from 0, found {number}"
        )
    parameters = cv2.aruco.DetectorParameters()
    parameters.cornerRefinementMethod = cv2.aruco.CORNER_REFINE_SUBPIX
    detector = cv2.aruco.ArucoDetector(markers, parameters)
    half = size / 2
    points = np.array([[-half, -half, 0], [half, -half, 0], [half, half, 0], [-half, half, 0]])

    def find(grey: Image) -> Corners | None:
        corners, ids, _ = detector.detectMarkers(grey)
        for found, its_number in zip(corners, [] if ids is None else ids.ravel().tolist(), strict=True):
            if its_number == number:
                return Corners(np.arange(4), np.asarray(found, np.float64).reshape(4, 2))
        return None

    return Board(points, find)


def draw_charuco(columns: int, rows: int, square: float) -> Image:
    """Return a ChArUco board to print, grey (H, W), at 300 dots an inch on A4; squares of this many metres."""
    width, height = columns * square * 1000, rows * square * 1000
    if width > _A4[0] - 10 or height > _A4[1] - 10:
        raise ConfigurationError(
            f"--draw: expected a board that fits on A4, found one of {width:g} x {height:g} mm; "
            "choose fewer or smaller squares (--charuco, --square)"
        )
    board = _charuco(columns, rows, square, MARKER_SHARE * square, DICTIONARY)
    inner = [round(side / 25.4 * _DPI) for side in (width, height)]
    paper = np.full([round(side / 25.4 * _DPI) for side in reversed(_A4)], 255, np.uint8)
    picture = board.generateImage(inner)
    top, left = ((whole - part) // 2 for whole, part in zip(paper.shape, picture.shape, strict=True))
    paper[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return paper


def _charuco(columns: int, rows: int, square: float, marker: float, dictionary: str) -> "cv2.aruco.CharucoBoard":
    if min(columns, rows) < 3 or not 0 < marker < square:
        raise ConfigurationError(
            f"--charuco: expected at least 3x3 squares with markers smaller than they, found {columns}x{rows}, squares "
            f"of {square:g} m with markers of {marker:g} m"
        )
    markers = _dictionary(dictionary, "--dictionary")
    if len(markers.bytesList) < columns * rows // 2:
        raise ConfigurationError(
            f"--charuco: expected a board for which {dictionary} has markers enough, found {columns}x{rows} squares"
        )
    return cv2.aruco.CharucoBoard((columns, rows), square, marker, markers)


def _dictionary(name: str, option: str) -> "cv2.aruco.Dictionary":
    """Return the markers of OpenCV's name. Raises ConfigurationError."""
    known = {key.removeprefix("DICT_").upper(): key for key in dir(cv2.aruco) if key.startswith("DICT_")}
    if name.upper() not in known:
        raise ConfigurationError(
            f"{option}: expected one of OpenCV's markers, such as 4X4_50, 6X6_250 or APRILTAG_36H11, found {name}"
        )
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, known[name.upper()]))


def _grid(columns: int, rows: int, square: float) -> Array:
    y, x = np.mgrid[:rows, :columns]
    return np.stack([x.ravel(), y.ravel(), np.zeros(columns * rows)], 1) * square
