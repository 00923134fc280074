from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from hamba_core.errors import SourceError
from stages.sources.decoding.pixels import PixelConverter

# ITU-R BT.601, BT.709 and BT.2020: weights of red and blue in luma; AVColorSpace's number.
MATRICES = {"601": (0.299, 0.114, 6), "709": (0.2126, 0.0722, 1), "2020": (0.2627, 0.0593, 9)}
COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 150, 130), (255, 255, 255), (0, 0, 0))


def planes_of(colour: tuple[int, int, int], matrix: str, full: bool, bits: int) -> tuple[int, int, int]:
    red_weight, blue_weight, _ = MATRICES[matrix]
    r, g, b = (value / 255 for value in colour)
    y = red_weight * r + (1 - red_weight - blue_weight) * g + blue_weight * b
    u, v = (b - y) / (2 * (1 - blue_weight)), (r - y) / (2 * (1 - red_weight))
    scale, most = 2 ** (bits - 8), 2**bits - 1
    if full:
        return round(y * most), min(round(u * most + 128 * scale), most), min(round(v * most + 128 * scale), most)
    return tuple(round(value * scale) for value in (16 + 219 * y, 128 + 224 * u, 128 + 224 * v))


def flat(
    colour: tuple[int, int, int], matrix: str, full: bool, pixel_format: str, size: tuple[int, int] = (64, 48)
) -> av.VideoFrame:
    bits = 10 if "10" in pixel_format else 8
    frame = av.VideoFrame(*size, pixel_format)
    for plane, value in zip(frame.planes, planes_of(colour, matrix, full, bits), strict=True):
        np.frombuffer(plane, np.uint16 if bits > 8 else np.uint8)[:] = value  # type: ignore[call-overload]
    frame.colorspace, frame.color_range = MATRICES[matrix][2], 2 if full else 1
    return frame


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv420p10le", "yuv444p"])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
def test_colours_follow_the_matrix_and_the_range(
    matrix: str, full: bool, pixel_format: str, colour: tuple[int, int, int]
) -> None:
    image = PixelConverter(8192).picture(flat(colour, matrix, full, pixel_format))
    assert np.abs(image[20, 20].astype(int) - colour).max() <= 3


@pytest.mark.parametrize(("size", "matrix"), [((640, 480), "601"), ((1280, 720), "709"), ((720, 1280), "709")])
def test_a_frame_that_names_no_matrix_has_that_of_its_size(size: tuple[int, int], matrix: str) -> None:
    frame = flat((200, 150, 130), matrix, False, "yuv420p", size)
    frame.colorspace = 2
    image = PixelConverter(8192).picture(frame)
    assert np.abs(image[20, 20].astype(int) - (200, 150, 130)).max() <= 3


@pytest.mark.parametrize("colorspace", [3, 8, 10, 13, 15, 99])
def test_matrices_that_the_converter_does_not_know_are_taken_for_the_usual_one(colorspace: int) -> None:
    frame = flat((200, 150, 130), "601", False, "yuv420p")
    frame.colorspace, frame.color_range = colorspace, 1
    assert np.abs(PixelConverter(8192).picture(frame)[20, 20].astype(int) - (200, 150, 130)).max() <= 3


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "gray16le", "ya8"])
def test_grey_becomes_rgb_of_three_equal_values(pixel_format: str) -> None:
    frame = av.VideoFrame(32, 32, pixel_format)
    wide = np.uint8 if pixel_format in ("gray", "ya8") else np.uint16
    plane = np.frombuffer(frame.planes[0], wide)  # type: ignore[call-overload]
    plane[:] = {"gray": 128, "ya8": 128, "gray10le": 512, "gray16le": 32768}[pixel_format]
    if pixel_format == "ya8":
        plane[1::2] = 255
    frame.color_range = 2
    image = PixelConverter(8192).picture(frame)
    assert image.shape == (32, 32, 3)
    assert (np.ptp(image[5, 5]), abs(int(image[5, 5, 0]) - 128) <= 1) == (0, True)


def test_what_is_transparent_shows_black_and_what_is_half_so_is_dimmed() -> None:
    pixels = np.full((20, 30, 4), (200, 100, 50, 255), np.uint8)
    pixels[:10, :, 3] = 0
    pixels[:, 20:, 3] = 128
    image = PixelConverter(8192).picture(av.VideoFrame.from_ndarray(pixels, format="rgba"))
    assert image[15, 5].tolist() == [200, 100, 50]
    assert image[5, 5].tolist() == [0, 0, 0]
    assert image[15, 25].tolist() == [100, 50, 25]


@pytest.mark.parametrize("size", [(17, 19), (97, 63), (641, 479), (33, 1000)])
def test_odd_sizes_give_whole_contiguous_pictures(size: tuple[int, int]) -> None:
    image = PixelConverter(8192).picture(flat((200, 150, 130), "601", False, "yuv420p", size))
    assert image.shape == (size[1], size[0], 3)
    assert image.flags.c_contiguous
    assert np.abs(image.astype(int) - (200, 150, 130)).max() <= 3


@pytest.mark.parametrize(
    ("aspect", "shape"),
    [(Fraction(4, 3), (48, 85)), (Fraction(1, 2), (96, 64)), (Fraction(1), (48, 64)), (None, (48, 64))],
)
def test_oblong_pixels_are_made_square(aspect: Fraction | None, shape: tuple[int, int]) -> None:
    assert PixelConverter(8192).picture(flat((9, 9, 9), "601", True, "yuv420p"), aspect).shape[:2] == shape


@pytest.mark.parametrize("aspect", [Fraction(0), Fraction(100), Fraction(1, 1000)])
def test_absurd_pixel_shapes_are_not_believed(aspect: Fraction) -> None:
    assert PixelConverter(8192).picture(flat((9, 9, 9), "601", True, "yuv420p"), aspect).shape == (48, 64, 3)


@pytest.mark.parametrize(("size", "found"), [((1, 1), "1x1"), ((15, 400), "15x400"), ((300, 40), "300x40")])
def test_pictures_outside_the_limits_are_refused_by_name(size: tuple[int, int], found: str) -> None:
    with pytest.raises(SourceError, match=found):
        PixelConverter(256).picture(av.VideoFrame(*size, "yuv420p"))


@pytest.mark.parametrize("pixel_format", ["bayer_rggb8", "yaf32le", "rgbaf32le"])
def test_formats_that_cannot_be_converted_are_refused_by_name(pixel_format: str) -> None:
    with pytest.raises(SourceError, match=pixel_format):
        PixelConverter(8192).picture(av.VideoFrame(64, 48, pixel_format))


def test_a_clip_of_each_alpha_format_decodes(tmp_path: Path) -> None:
    pixels = np.full((48, 64, 4), (40, 90, 200, 255), np.uint8)
    pixels[:24, :, 3] = 0
    path = tmp_path / "alpha.mov"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("qtrle", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "argb"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba").reformat(format="argb")))
        output.mux(stream.encode(None))
    with av.open(str(path)) as container:
        image = PixelConverter(8192).picture(next(container.decode(video=0)))
    assert image[40, 10].tolist() == [40, 90, 200]
    assert image[5, 10].tolist() == [0, 0, 0]
