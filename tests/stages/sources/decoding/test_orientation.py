import struct

import numpy as np
import pytest

from stages.sources.decoding.orientation import UPRIGHT, Orientation


def matrix(a: int, b: int, c: int, d: int) -> bytes:
    return struct.pack("=9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)


PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


# EXIF 2.32, 4.6.4: where the 0th row and the 0th column of the stored picture are on the upright one.
@pytest.mark.parametrize(
    ("value", "upright"),
    [
        (1, PICTURE),
        (2, PICTURE[:, ::-1]),  # top, right
        (3, PICTURE[::-1, ::-1]),  # bottom, right
        (4, PICTURE[::-1]),  # bottom, left
        (5, PICTURE.transpose(1, 0, 2)),  # left, top
        (6, np.rot90(PICTURE, -1)),  # right, top
        (7, PICTURE[::-1, ::-1].transpose(1, 0, 2)),  # right, bottom
        (8, np.rot90(PICTURE)),  # left, bottom
        (0, PICTURE),
        (9, PICTURE),
        (65535, PICTURE),
    ],
)
def test_exif_orientations_make_the_picture_upright(value: int, upright: np.ndarray) -> None:
    np.testing.assert_array_equal(Orientation.from_exif(value).apply(PICTURE), upright)


@pytest.mark.parametrize(
    ("entries", "upright"),
    [
        ((1, 0, 0, 1), PICTURE),
        ((0, 1, -1, 0), np.rot90(PICTURE, -1)),  # what a phone held upright writes: a quarter turn clockwise
        ((-1, 0, 0, -1), PICTURE[::-1, ::-1]),
        ((0, -1, 1, 0), np.rot90(PICTURE)),
        ((-1, 0, 0, 1), PICTURE[:, ::-1]),  # a mirrored selfie
    ],
)
@pytest.mark.parametrize("scale", [65536, 32768, 1])
def test_display_matrices_make_the_picture_upright(
    entries: tuple[int, int, int, int], upright: np.ndarray, scale: int
) -> None:
    orientation = Orientation.from_display_matrix(matrix(*(scale * entry for entry in entries)))
    np.testing.assert_array_equal(orientation.apply(PICTURE), upright)


@pytest.mark.parametrize("data", [b"", b"\0" * 36, b"\xff" * 7, matrix(0, 0, 0, 0)])
def test_degenerate_matrices_leave_the_picture_as_it_is(data: bytes) -> None:
    assert Orientation.from_display_matrix(data) == UPRIGHT


def test_slanted_matrices_go_to_the_nearest_quarter_turn() -> None:
    cosine, sine = round(65536 * np.cos(0.3)), round(65536 * np.sin(0.3))
    assert Orientation.from_display_matrix(matrix(cosine, sine, -sine, cosine)) == UPRIGHT
