import io
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from stages.sources.decoding.orientation import UPRIGHT, Orientation
from stages.sources.file_ends import asf_size, matroska_size
from stages.sources.foreign import foreign_kind, text_kind
from stages.sources.headers import (
    HEAD_BYTES,
    gif_pixels,
    gif_size,
    still_header,
    still_kind,
    without_packed_texts,
)
from stages.sources.pictures.plugin_pictures import is_animated, jpeg_xl_size

PICTURE = np.arange(40 * 60 * 3, dtype=np.uint8).reshape(40, 60, 3)


def encoded(suffix: str, *parameters: int) -> bytes:
    done, data = cv2.imencode(suffix, PICTURE, list(parameters))
    assert done
    return bytes(data)


def exif(order: str, orientation: int, focal: int) -> bytes:
    """A TIFF header with one directory, and EXIF's own in it."""
    short, long = ("<HH", "<I") if order == "II" else (">HH", ">I")

    def entry(tag: int, kind: int, value: int) -> bytes:
        e = short[0]
        packed = struct.pack(e + "HH", value, 0) if kind == 3 else struct.pack(long, value)
        return struct.pack(e + "HHI", tag, kind, 1) + packed

    head = order.encode() + struct.pack(short[0] + "H", 42) + struct.pack(long, 8)
    first = struct.pack(short[0] + "H", 2) + entry(0x0112, 3, orientation) + entry(0x8769, 4, 38) + b"\0" * 4
    own = struct.pack(short[0] + "H", 1) + entry(0xA405, 3, focal) + b"\0" * 4
    return head + first + own


def jpeg_with_exif(data: bytes, tiff: bytes) -> bytes:
    segment = b"Exif\0\0" + tiff
    return data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]


@pytest.mark.parametrize(
    ("suffix", "kind"),
    [(".jpg", "JPEG"), (".png", "PNG"), (".bmp", "BMP"), (".webp", "WebP"), (".tiff", "TIFF")],
)
def test_the_kind_and_size_of_a_picture_are_read_from_its_header(suffix: str, kind: str) -> None:
    header = still_header(encoded(suffix))
    assert header is not None
    assert (header.kind, header.width, header.height) == (kind, 60, 40)
    assert header.complete
    assert header.orientation == UPRIGHT
    assert header.focal_35mm is None


def test_lossless_webp_has_its_size_elsewhere() -> None:
    header = still_header(encoded(".webp", cv2.IMWRITE_WEBP_QUALITY, 101))
    assert header is not None
    assert (header.width, header.height) == (60, 40)


@pytest.mark.parametrize("order", ["II", "MM"])
def test_exif_tells_the_orientation_and_the_focal_length(order: str) -> None:
    header = still_header(jpeg_with_exif(encoded(".jpg"), exif(order, 6, 26)))
    assert header is not None
    assert header.orientation == Orientation.from_exif(6)
    assert header.focal_35mm == 26
    assert (header.width, header.height) == (60, 40)


@pytest.mark.parametrize("focal", [0, 1, 60000])
def test_an_impossible_focal_length_is_none(focal: int) -> None:
    header = still_header(jpeg_with_exif(encoded(".jpg"), exif("II", 1, focal)))
    assert header is not None
    assert header.focal_35mm is None


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_without_its_end_is_known_as_such(suffix: str) -> None:
    data = encoded(suffix)
    header = still_header(data[: len(data) * 2 // 3])
    assert header is not None
    assert not header.complete


def test_the_end_of_a_thumbnail_is_not_that_of_the_picture() -> None:
    data = encoded(".jpg")
    whole = jpeg_with_exif(data, exif("II", 1, 26) + data)
    header, cut = still_header(whole), still_header(whole[: len(whole) - len(data) // 3])
    assert header is not None
    assert cut is not None
    assert header.complete
    assert not cut.complete


@pytest.mark.parametrize("data", [b"", b"hello, this is text", b"\0" * 100, b"BM, he said", b"RIFF0000WAVE"])
def test_what_is_no_picture_has_no_header(data: bytes) -> None:
    assert still_header(data) is None


def test_a_gif_is_a_video_whose_size_is_known() -> None:
    assert gif_size(b"GIF89a\x40\x01\xf0\x00") == (320, 240)
    assert gif_size(b"GIF89a") is None
    assert gif_size(encoded(".png")[:16]) is None


def test_the_kind_is_known_from_the_head_alone(tmp_path: Path) -> None:
    data = encoded(".png")
    assert still_kind(data[:HEAD_BYTES]) == "PNG"
    assert still_kind(io.BytesIO(data).read(4)) is None


@settings(max_examples=300)
@given(st.sampled_from([".jpg", ".png", ".bmp", ".webp", ".tiff"]), st.randoms(use_true_random=False))
def test_a_damaged_header_never_raises(suffix: str, random: object) -> None:
    data = bytearray(jpeg_with_exif(encoded(suffix), exif("MM", 6, 26)) if suffix == ".jpg" else encoded(suffix))
    for _ in range(random.randint(1, 8)):  # type: ignore[attr-defined]
        data[random.randrange(12, min(len(data), 400))] = random.randrange(256)  # type: ignore[attr-defined]
    cut = random.randint(0, len(data))  # type: ignore[attr-defined]
    for piece in (bytes(data), bytes(data[:cut])):
        header = still_header(piece)
        assert header is None or header.width >= 0


PIECES = [
    *(b"\xff\xd8", b"\xff\xc0\0\x0b", b"GIF89a", b"\xff\xff\xff\xff\x80", b"\x2c", b"\x21\xf9", b"\0", b"\xff"),
    *(b"\x89PNG\r\n\x1a\n", b"\0\0\0\0zTXt", b"\xff\xff\xff\xffiTXt", b"IHDR", b"IDAT", b"IEND", b"eXIf", b"x" * 60),
    *(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\0jxlc", b"\0\0\0\1jxlp\0\0\0\0\0\0\0\x10"),
    *(b"meta", b"grid", b"\0\0\0\x18ftypavif", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"RIFF\0\0\0\0WEBPVP8X"),
    *(b"#EXTM3U\n", b"# \n", b"v=0\nm=", b"\xef\xbb\xbf", b"\xff\xfe", b"\xd8\0", b"ffconcat ", b"<asx", b"qoif"),
    *(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"), bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")),
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join))
@example(b"GIF89a" + b"<asx")
def test_the_beginnings_of_files_in_any_order_are_looked_at_to_their_end(data: bytes) -> None:
    gif_pixels(data)
    asf_size(data)
    matroska_size(data)
    jpeg_xl_size(data)
    is_animated(data)
    foreign_kind(data)
    text_kind(data, "a.m3u")
    header = still_header(data)
    assert (header is None) == (still_kind(data[:HEAD_BYTES]) is None)
    kept = without_packed_texts(data)
    assert len(kept) <= len(data)
    assert without_packed_texts(kept) == kept


@pytest.mark.parametrize(
    ("head", "size"),
    [
        (b"\x1a\x45\xdf\xa3\x83abc\x18\x53\x80\x67\x40\x10", 14 + 16),  # a size of two bytes
        (b"\x1a\x45\xdf\xa3\x83abc\xec\x82ab\x18\x53\x80\x67\x90", 17 + 16),  # something empty between
        (b"\x1a\x45\xdf\xa3\x83abc\x18\x53\x80\x67\x01" + 7 * b"\xff", None),  # written live
        (b"\x1a\x45\xdf\xa3\x83abc\x18\x53\x80\x67\x01\xff", None),  # it ends there
        (b"\x1a\x45\xdf\xa3\x00", None),
    ],
)
def test_the_size_that_matroska_says_it_has(head: bytes, size: int | None) -> None:
    assert matroska_size(head) == size
