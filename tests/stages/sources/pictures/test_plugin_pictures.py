"""HEIC and JPEG XL: read where their plugins are installed, upright, behind the size guards; named where not."""

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from PIL import Image

from hamba_core.errors import SourceError
from stages.sources.headers import HEAD_BYTES, still_kind
from stages.sources.pictures.plugin_pictures import _codestream, is_animated, jpeg_xl_size

Fixture = Callable[..., Any]

pillow_heif = pytest.importorskip("pillow_heif")
pytest.importorskip("pillow_jxl")
KINDS = ["heic", "jxl"]


def written(kind: str, pixels: Any, **options: Any) -> bytes:
    image = Image.fromarray(pixels)
    data = io.BytesIO()
    if kind == "jxl":
        image.save(data, "JXL", **{"quality": 95, **options})
    else:
        pillow_heif.from_pillow(image).save(data, **{"quality": 95, **options})
    return data.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_read(
    read: Fixture, tmp_path: Path, make_picture: Fixture, quadrants: Fixture, same_colours: Fixture, kind: str
) -> None:
    (tmp_path / f"hand.{kind}").write_bytes(written(kind, make_picture(97, 63)))
    reading = read(tmp_path / f"hand.{kind}")
    assert reading.error is None
    assert reading.frames[0].image.shape == (63, 97, 3)
    assert same_colours(quadrants(reading.frames[0].image), quadrants(make_picture(97, 63)), 12)
    assert "pillow-" in reading.choice("decoder").chosen


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["", ".jpg", ".bin"])
def test_its_content_tells_what_it_is(
    read: Fixture, tmp_path: Path, make_picture: Fixture, kind: str, suffix: str
) -> None:
    (tmp_path / f"hand{suffix}").write_bytes(written(kind, make_picture()))
    assert len(read(tmp_path / f"hand{suffix}").frames) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_of_a_folder_has_its_place(read: Fixture, tmp_path: Path, make_picture: Fixture, kind: str) -> None:
    (tmp_path / f"b.{kind}").write_bytes(written(kind, make_picture()))
    Image.fromarray(make_picture()).save(tmp_path / "a.png")
    assert [frame.meta.name for frame in read(tmp_path).frames] == ["a.png", f"b.{kind}"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_transparent_shows_black(read: Fixture, tmp_path: Path, make_picture: Fixture, kind: str) -> None:
    pixels = np.dstack([make_picture(), np.full((64, 96), 255, np.uint8)])
    pixels[:32, :, 3] = 0
    (tmp_path / "cutout").write_bytes(written(kind, pixels))
    image = read(tmp_path / "cutout").frames[0].image
    assert image[:28].max() < 12
    assert np.abs(image[36:].astype(int) - make_picture()[36:]).mean() < 8


def exif_of(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = 28
    return exif


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_heic_is_upright_and_tells_its_focal_length(
    read: Fixture, tmp_path: Path, make_picture: Fixture, quadrants: Fixture, same_colours: Fixture, orientation: int
) -> None:
    upright = make_picture()
    turned = np.ascontiguousarray(np.rot90(upright, {1: 0, 3: 2, 6: 1, 8: 3}[orientation]))
    data = io.BytesIO()
    pillow_heif.register_heif_opener()
    Image.fromarray(turned).save(data, "HEIF", quality=95, exif=exif_of(orientation).tobytes())
    assert (b"irot" in data.getvalue()) == (orientation != 1)
    (tmp_path / "IMG_1.HEIC").write_bytes(data.getvalue())
    frame = read(tmp_path / "IMG_1.HEIC").frames[0]
    assert frame.image.shape == upright.shape
    assert same_colours(quadrants(frame.image), quadrants(upright), 12)
    assert frame.meta.camera.fx == pytest.approx(28 / 43.267 * np.hypot(96, 64), rel=1e-3)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_jpeg_inside_a_jpeg_xl_is_turned_as_its_exif_says(
    read: Fixture, tmp_path: Path, make_picture: Fixture, quadrants: Fixture, same_colours: Fixture, orientation: int
) -> None:
    upright = make_picture()
    turned = np.ascontiguousarray(np.rot90(upright, {1: 0, 3: 2, 6: 1, 8: 3}[orientation]))
    Image.fromarray(turned).save(tmp_path / "first.jpg", quality=95, exif=exif_of(orientation))
    with Image.open(tmp_path / "first.jpg") as image:
        image.save(tmp_path / "hand.jxl", lossless_jpeg=True)
    frame = read(tmp_path / "hand.jxl").frames[0]
    assert frame.image.shape == upright.shape
    assert same_colours(quadrants(frame.image), quadrants(upright), 12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.7])
def test_one_that_is_cut_off_is_an_error(read: Fixture, tmp_path: Path, kind: str, share: float) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (128, 128, 3), np.uint8)
    data = written(kind, pixels)
    (tmp_path / "half").write_bytes(data[: int(share * len(data))])
    reading = read(tmp_path / "half")
    assert type(reading.error) is SourceError
    assert not reading.frames


@pytest.mark.parametrize("kind", KINDS)
def test_the_size_is_checked(read: Fixture, tmp_path: Path, kind: str) -> None:
    (tmp_path / "wide").write_bytes(written(kind, np.zeros((16, 300, 3), np.uint8)))
    assert "max_side" in str(read(tmp_path / "wide", decoding={"max_side": 256}).error)


def test_a_jpeg_xl_is_not_unpacked_before_its_size_was_checked(
    read: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pillow_jxl import JpegXLImagePlugin

    def unpacked(*_: object) -> None:
        raise AssertionError("it was unpacked")

    (tmp_path / "wide.jxl").write_bytes(written("jxl", np.zeros((16, 300, 3), np.uint8)))
    monkeypatch.setattr(JpegXLImagePlugin.JXLImageFile, "_open", unpacked)
    assert "max_side" in str(read(tmp_path / "wide.jxl", decoding={"max_side": 256}).error)


@pytest.mark.parametrize(("kind", "module"), [("heic", "pillow_heif"), ("jxl", "pillow_jxl.JpegXLImagePlugin")])
def test_without_its_plugin_it_is_named_with_what_installs_it(
    read: Fixture, tmp_path: Path, make_picture: Fixture, monkeypatch: pytest.MonkeyPatch, kind: str, module: str
) -> None:
    (tmp_path / "hand").write_bytes(written(kind, make_picture()))
    monkeypatch.setitem(sys.modules, module, None)
    error = str(read(tmp_path / "hand").error)
    assert "pip install 'hamba-stream[pictures]'" in error
    assert ("HEIC" if kind == "heic" else "JPEG XL") in error


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.booleans())
def test_the_size_of_a_jpeg_xl_is_read_from_its_head(width: int, height: int, boxed: bool) -> None:
    data = written("jxl", np.zeros((height, width, 3), np.uint8), use_container=boxed, effort=1)
    assert still_kind(data[:HEAD_BYTES]) == "JPEG XL"
    assert jpeg_xl_size(data) == (width, height)
    assert not is_animated(data)


def boxes(*parts: tuple[bytes, bytes]) -> bytes:
    written = b"".join((8 + len(content)).to_bytes(4, "big") + name + content for name, content in parts)
    return b"\0\0\0\x0cJXL \r\n\x87\n" + written


def test_the_size_is_found_where_the_picture_is_in_pieces() -> None:
    data = written("jxl", np.zeros((48, 333, 3), np.uint8))
    pieces = [data[:3], data[3:5], data[5:]]
    numbered = [(b"jxlp", number.to_bytes(4, "big") + piece) for number, piece in enumerate(pieces)]
    assert jpeg_xl_size(boxes((b"ftyp", b"jxl \0\0\0\0jxl "), *numbered)) == (333, 48)


def test_a_jpeg_xl_that_does_not_say_its_size_is_not_unpacked(read: Fixture, tmp_path: Path) -> None:
    (tmp_path / "hand.jxl").write_bytes(boxes((b"ftyp", b"jxl \0\0\0\0jxl "), (b"free", bytes(100))))
    assert "does not say its size" in str(read(tmp_path / "hand.jxl").error)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_no_head_of_a_jpeg_xl_raises(noise: bytes) -> None:
    for data in (b"\xff\x0a" + noise, b"\0\0\0\x0cJXL \r\n\x87\n" + noise):
        jpeg_xl_size(data)
        is_animated(data)
        _codestream(data)


def test_an_avif_under_heifs_brand_is_an_avif(make_picture: Fixture, read: Fixture, tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.fromarray(make_picture()).save(data, "AVIF", quality=95)
    renamed = bytearray(data.getvalue())
    assert renamed[4:12] == b"ftypavif"
    renamed[8:12] = b"mif1"
    (tmp_path / "hand").write_bytes(renamed)
    assert still_kind(bytes(renamed[:HEAD_BYTES])) == "AVIF"
    assert len(read(tmp_path / "hand").frames) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_one_after_another_are_frames(read: Fixture, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"run.{kind}"
    for value in (40, 110, 180):
        with path.open("ab") as file:
            file.write(written(kind, np.full((64, 96, 3), value, np.uint8)))
    reading = read(path)
    assert reading.error is None
    assert [round(frame.image.mean()) for frame in reading.frames] == pytest.approx([40, 110, 180], abs=4)
