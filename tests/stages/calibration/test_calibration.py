"""A camera is measured from drawn pictures of a board under a lens that is known."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hamba_core.errors import ConfigurationError, SourceError
from hamba_core.view import Intrinsics
from stages.calibration import Board, Solution, Views, charuco, chessboard, draw_charuco, picture_of, solve
from stages.packets import Frame, FrameMeta, Image
from stages.sources.lens.calibration_file import load_calibration

Array = NDArray[np.float64]
SIZE = (640, 480)
SQUARE = 0.03
MATRIX = np.array([[600.0, 0, 330], [0, 605, 236], [0, 0, 1]])
FISHEYE = np.array([[260.0, 0, 322], [0, 262, 238], [0, 0, 1]])


def drawn_chessboard() -> Image:
    """9 x 6 inner corners, 30 px a square, with white about them."""
    tiles = np.indices((7, 10)).sum(0) % 2 * 255
    return np.pad(np.kron(tiles, np.ones((30, 30))), 30, constant_values=255).astype(np.uint8)


def photographed(board: Image, corner: Array, scale: float, matrix: Array, lens: Array, pose: Array) -> Image:
    """The board under a lens: for each pixel, where on the board its ray ends.

    `corner` (2,) px is where the drawing has the board's origin, `scale` px a metre.
    """
    fisheye = matrix is FISHEYE
    columns, rows = np.meshgrid(np.arange(SIZE[0], dtype=float), np.arange(SIZE[1], dtype=float))
    pixels = np.stack([columns.ravel(), rows.ravel()], 1).reshape(-1, 1, 2)
    undistort = cv2.fisheye.undistortPoints if fisheye else cv2.undistortPoints
    rays = np.concatenate([undistort(pixels, matrix, lens).reshape(-1, 2), np.ones((pixels.shape[0], 1))], 1)
    R, t = cv2.Rodrigues(pose[:3])[0], pose[3:]
    # p = R^T (s ray - t) with z = 0.
    turned, origin = rays @ R, t @ R
    places = (turned * (origin[2] / turned[:, 2])[:, None] - origin)[:, :2] * scale + corner
    x, y = places.reshape(SIZE[1], SIZE[0], 2).astype(np.float32).transpose(2, 0, 1)
    grey = cv2.remap(board, x, y, cv2.INTER_LINEAR, borderValue=(90,))
    return np.asarray(cv2.cvtColor(cv2.GaussianBlur(grey, (3, 3), 0.7), cv2.COLOR_GRAY2RGB), np.uint8)


def poses(board: Board, count: int, nearness: float = 1.0) -> list[Array]:
    random = np.random.default_rng(3)
    middle = board.points.mean(0)
    found = []
    for _ in range(count):
        turn = random.uniform([-0.5, -0.5, -0.3], [0.5, 0.5, 0.3])
        place = random.uniform([-0.13, -0.09, 0.42], [0.13, 0.09, 0.6]) * nearness
        found.append(np.concatenate([turn, place - cv2.Rodrigues(turn)[0] @ middle]))
    return found


def watched(board: Board, pictures: list[Image], *, every: float = 0.0) -> Views:
    views = Views(board, every=every)
    camera = Intrinsics.estimate(*SIZE)
    for i, picture in enumerate(pictures):
        views.add(Frame(FrameMeta("hands", i, i / 30, i, *SIZE, camera), picture))
    return views


@pytest.fixture(scope="module")
def charuco_views() -> Views:
    board = charuco(9, 6, SQUARE)
    drawing = draw_charuco(9, 6, SQUARE)
    corner = (np.array(drawing.shape[::-1]) - np.array([9, 6]) * SQUARE / 0.0254 * 300) / 2 - 0.5
    scale = 300 / 0.0254
    corner = corner + SQUARE * scale  # the first inner corner
    small = cv2.resize(drawing, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    lens = np.array([-0.25, 0.08, 0.001, -0.001])
    pictures = [
        photographed(np.asarray(small, np.uint8), (corner + 0.5) / 4 - 0.5, scale / 4, MATRIX, lens, pose)
        for pose in poses(board, 24)
    ]
    return watched(board, pictures)


@pytest.fixture(scope="module")
def measured(charuco_views: Views) -> Solution:
    return solve(charuco_views.board, charuco_views.kept, SIZE)


def test_a_charuco_board_gives_the_camera_and_the_lens(measured: Solution) -> None:
    assert measured.error < 0.3
    np.testing.assert_allclose(measured.matrix[[0, 1], [0, 1]], [600, 605], rtol=0.01)
    np.testing.assert_allclose(measured.matrix[:2, 2], [330, 236], atol=4)
    assert measured.distortion[0] == pytest.approx(-0.25, abs=0.03)
    assert measured.deviation < 5
    undistorted = cv2.undistortPoints(
        np.array([[[0, 239.5]], [[639.0, 239.5]]]), MATRIX, np.array([-0.25, 0.08, 0.001, -0.001])
    )
    width = np.degrees(np.arctan(undistorted[1, 0, 0]) - np.arctan(undistorted[0, 0, 0]))
    assert measured.field_of_view[0] == pytest.approx(width, abs=0.7)


def test_what_is_written_is_what_runs_read(measured: Solution, tmp_path: Path) -> None:
    measured.write(tmp_path / "camera.yaml")
    read = load_calibration(tmp_path / "camera.yaml")
    np.testing.assert_array_equal(read.matrix, measured.matrix)
    np.testing.assert_array_equal(read.distortion, measured.distortion)
    assert (read.size, read.fisheye) == (SIZE, False)


def test_the_picture_shows_the_corners_and_a_straight_view(measured: Solution) -> None:
    picture = picture_of(measured).astype(int)
    assert picture.shape == (720, 1920, 3)
    green = (picture[:, :960, 1] - picture[:, :960, 0]) > 80
    assert green.sum() > 2000


def test_a_chessboard_gives_the_camera_too() -> None:
    board = chessboard(9, 6, SQUARE)
    lens = np.array([-0.1, 0.02, 0, 0])
    pictures = [
        photographed(drawn_chessboard(), np.array([59.5, 59.5]), 30 / SQUARE, MATRIX, lens, pose)
        for pose in poses(board, 30, nearness=1.3)
    ]
    views = watched(board, pictures)
    solution = solve(board, views.kept, SIZE)
    assert solution.error < 0.3
    np.testing.assert_allclose(solution.matrix[[0, 1], [0, 1]], [600, 605], rtol=0.015)


def test_a_fisheye_gives_its_four_numbers() -> None:
    board = chessboard(9, 6, SQUARE)
    lens = np.array([-0.03, 0.01, -0.005, 0.001])
    pictures = [
        photographed(drawn_chessboard(), np.array([59.5, 59.5]), 30 / SQUARE, FISHEYE, lens, pose)
        for pose in poses(board, 30, nearness=0.55)
    ]
    views = watched(board, pictures)
    solution = solve(board, views.kept, SIZE, fisheye=True)
    assert solution.fisheye
    assert solution.error < 0.4
    np.testing.assert_allclose(solution.matrix[[0, 1], [0, 1]], [260, 262], rtol=0.02)


def test_frames_in_which_the_board_stands_still_are_one_view() -> None:
    board = chessboard(9, 6, SQUARE)
    picture = photographed(
        drawn_chessboard(), np.array([59.5, 59.5]), 30 / SQUARE, MATRIX, np.zeros(4), poses(board, 1, 1.3)[0]
    )
    views = watched(board, [picture] * 9, every=0.1)
    assert (views.looked_at, views.seen, len(views.kept)) == (3, 3, 1)
    with pytest.raises(SourceError, match="at least 8 frames that differ, found 1"):
        solve(board, views.kept, SIZE)


def test_a_view_that_does_not_fit_is_left_out(charuco_views: Views) -> None:
    spoiled = list(charuco_views.kept)
    rows = np.arange(len(spoiled[2].corners.places))
    spoiled[2].corners.places[rows % 2 == 0] += 6.0
    try:
        solution = solve(charuco_views.board, spoiled, SIZE)
    finally:
        spoiled[2].corners.places[rows % 2 == 0] -= 6.0
    assert spoiled[2] not in solution.views
    assert len(solution.views) == len(spoiled) - 1
    assert solution.error < 0.3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: charuco(2, 6, 0.03), "at least 3x3 squares"),
        (lambda: charuco(9, 6, 0.03, 0.04), "markers smaller"),
        (lambda: charuco(9, 6, 0.03, dictionary="9X9_1"), "--dictionary"),
        (lambda: charuco(30, 20, 0.03), "markers enough"),
        (lambda: chessboard(2, 6, 0.03), "inner corners"),
        (lambda: draw_charuco(9, 6, 0.04), "fits on A4"),
    ],
)
def test_boards_that_cannot_be_are_refused(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        make()
