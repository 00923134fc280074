"""Files that hold several pictures, and pictures that FFmpeg does not read as they are meant."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, strategies as st
from PIL import Image as Pillow

from hamba_core.errors import BrokenSourceError, SourceError
from stages.packets import Image
from stages.sources import source_for
from stages.sources.pictures import picture_ends
from stages.sources.pictures.multipart import Parts
from stages.sources.pictures.picture_ends import PictureEnd
from stages.sources.pictures.tiff_ends import TiffEnd, tiff_end

Fixture = Callable[..., Any]
COLOURS = [(220, 30, 30), (30, 200, 40), (30, 40, 220), (190, 190, 190)]


def encoded(suffix: str, brightness: int, size: tuple[int, int] = (64, 48)) -> bytes:
    if suffix == ".pam":  # OpenCV's does not say what its samples are
        head = b"P7\nWIDTH %d\nHEIGHT %d\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" % size
        return head + bytes([brightness]) * (3 * size[0] * size[1])
    done, data = cv2.imencode(suffix, np.full((size[1], size[0], 3), brightness, np.uint8))
    assert done
    return bytes(data)


def brightness_of(reading: Any) -> list[float]:
    return [round(float(frame.image.mean()), 0) for frame in reading.frames]


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".ppm", ".webp", ".tiff", ".jp2", ".avif", ".pam"])
@pytest.mark.parametrize("between", [b"", b"\0\0\0"])
def test_pictures_one_after_another_are_frames(read: Fixture, tmp_path: Path, suffix: str, between: bytes) -> None:
    path = tmp_path / "run.mjpeg"
    path.write_bytes(between.join(encoded(suffix, 20 * number) for number in range(12)))
    reading = read(path, pictures={"rate": 10})
    assert reading.error is None
    assert brightness_of(reading) == pytest.approx([20 * number for number in range(12)], abs=2)
    assert reading.times == pytest.approx([number / 10 for number in range(12)])
    assert (reading.info.frames, reading.info.fps, reading.info.stills) == (12, 10, False)


def test_a_run_whose_last_picture_is_cut_off_keeps_the_others(read: Fixture, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), np.uint8)
    one = cv2.imencode(".jpg", noise)[1].tobytes()
    (tmp_path / "run.mjpeg").write_bytes(5 * one + one[: len(one) // 2])
    reading = read(tmp_path / "run.mjpeg")
    assert isinstance(reading.error, BrokenSourceError)
    assert len(reading.frames) == 5


def test_a_photograph_with_a_smaller_picture_behind_it_is_one(read: Fixture, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(encoded(".jpg", 100) + encoded(".jpg", 200, (32, 24)))
    reading = read(tmp_path / "photo.jpg")
    assert reading.error is None
    assert (reading.info.kind, brightness_of(reading)) == ("image", [100])


def test_qois_one_after_another_are_frames(read: Fixture, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 2, (5, 48, 64, 3), np.uint8) * np.uint8(255)
    written = []
    for pixels in noise:
        file = io.BytesIO()
        Pillow.fromarray(pixels).save(file, "qoi")
        written.append(file.getvalue())
    (tmp_path / "run.qoi").write_bytes(b"".join(written))
    reading = read(tmp_path / "run.qoi")
    assert reading.error is None
    assert all((frame.image == pixels).all() for frame, pixels in zip(reading.frames, noise, strict=True))


@pytest.mark.parametrize("between", [b" ", b"\n", b"\r\n", b"\n# made by hand\n"])
@pytest.mark.parametrize(("most", "kind"), [(255, ">u1"), (31, ">u1"), (65535, ">u2"), (1023, ">u2")])
def test_a_ppm_may_have_its_numbers_in_a_line(
    read: Fixture, tmp_path: Path, between: bytes, most: int, kind: str
) -> None:
    pixels = np.full((48, 64, 3), round(most * 0.8), kind)
    (tmp_path / "one.ppm").write_bytes(b"P6" + between + b"64 48 %d\n" % most + pixels.tobytes())
    reading = read(tmp_path / "one.ppm")
    assert reading.error is None
    assert brightness_of(reading) == [pytest.approx(255 * 0.8, abs=8)]  # FFmpeg rounds what has few steps


@pytest.mark.parametrize("suffix", [".png", ".tiff", ".bmp"])
def test_pictures_of_other_sizes_one_after_another_are_read(read: Fixture, tmp_path: Path, suffix: str) -> None:
    sizes = [(64, 48), (32, 24), (50, 70)]
    (tmp_path / "run").write_bytes(b"".join(encoded(suffix, 100, size) for size in sizes))
    reading = read(tmp_path / "run")
    assert reading.error is None
    assert [frame.image.shape[1::-1] for frame in reading.frames] == sizes


def saved(tmp_path: Path, values: list[int], **options: Any) -> bytes:
    """A TIFF with a page for each value."""
    shape = (3, 48, 64) if options.get("planarconfig") == "separate" else (48, 64, 3)
    with tifffile.TiffWriter(tmp_path / "one.tif", **options.pop("file", {})) as file:
        for value in values:
            file.write(np.full(shape, value, np.uint8), photometric="rgb", metadata=None, **options)
    return (tmp_path / "one.tif").read_bytes()


FORMS = [
    {},
    {"file": {"bigtiff": True}},
    {"file": {"byteorder": ">"}, "compression": "zlib"},
    {"tile": (16, 16)},
    {"rowsperstrip": 5, "planarconfig": "separate"},
    {"description": "x" * 999, "extratags": [(65000, 7, 5000, b"MM\0*" * 1250, True)]},
]


@pytest.mark.parametrize("options", FORMS, ids=str)
@pytest.mark.parametrize("between", [b"", b"\0" * 6])
def test_where_a_tiff_ends_is_told_by_all_its_forms(
    read: Fixture, tmp_path: Path, options: dict[str, Any], between: bytes
) -> None:
    parts = [saved(tmp_path, [50, 60], **options), saved(tmp_path, [70], **options), saved(tmp_path, [80], **options)]
    assert [tiff_end(part).end for part in parts] == [len(part) for part in parts]
    assert PictureEnd().find(parts[0][:-1]) is None
    growing = PictureEnd()
    ends = [growing.find(parts[0][:at]) for at in (*range(0, len(parts[0]), 100), len(parts[0]))]
    assert ends == [None] * (len(ends) - 1) + [len(parts[0])]
    (tmp_path / "run.tif").write_bytes(between.join(parts))
    reading = read(tmp_path / "run.tif")
    assert reading.error is None
    assert brightness_of(reading) == [50, 60, 70, 80]
    assert reading.info.frames == 4


@given(st.binary(max_size=200), st.binary(max_size=100))
def test_no_tiff_keeps_its_reader_busy_or_ends_behind_the_data(content: bytes, rest: bytes) -> None:
    for head in (b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"):
        whole = rest + head + content
        end = PictureEnd(len(rest)).find(whole)
        assert end is None or len(rest) + 8 <= end <= len(whole)
        told = tiff_end(whole, len(rest))
        assert told.end is not None or told.needed > len(whole)


def test_directories_that_lead_to_one_another_and_to_one_long_list_end(tmp_path: Path) -> None:
    count, values = 3000, 100_000
    heads, at = b"", 8
    for number in range(count):
        following = 8 if number == count - 1 else at + 30
        lists = b"".join(struct.pack("<HHII", tag, 4, values, 8 + 30 * count) for tag in (273, 279))
        heads += struct.pack("<H", 2) + lists + struct.pack("<I", following)
        at += 30
    assert tiff_end(b"II*\0\x08\0\0\0" + heads + bytes(4 * values)).end is None


def test_what_comes_in_pieces_is_not_looked_through_again_with_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty thousand strips, a thousand directories; their picture comes in pieces of a hundred bytes."""
    count = 20_000
    lists = b"".join(struct.pack("<HHII", tag, 4, count, 38 + 4 * count * (tag > 273)) for tag in (273, 279))
    strips = b"II*\0" + struct.pack("<IH", 8, 2) + lists + bytes(4)
    strips += struct.pack("<I", 2**20) * count + bytes(4 * count)
    directories = b"II*\0" + b"".join(struct.pack("<IH", 8 + 6 * number, 0) for number in range(1000))
    read = 0

    def counted(data: bytes, start: int = 0) -> TiffEnd:
        nonlocal read
        found = tiff_end(data, start)
        read += found.read
        return found

    monkeypatch.setattr(picture_ends, "tiff_end", counted)
    for whole in (strips + bytes(2**20), directories + bytes(2**16)):
        end, read = PictureEnd(), 0
        for at in range(0, len(whole), 100):
            end.find(whole[:at])
        assert read < 6 * len(whole)


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_animations_one_after_another_are_read_to_the_last(read: Fixture, tmp_path: Path, suffix: str) -> None:
    shown = [Pillow.fromarray(np.full((48, 64, 3), value, np.uint8)) for value in (50, 100, 150)]
    whole = io.BytesIO()
    lossless = {"lossless": True} if suffix == "webp" else {}
    shown[0].save(whole, suffix, save_all=True, append_images=shown[1:], duration=200, **lossless)
    (tmp_path / "two").write_bytes(2 * whole.getvalue())
    reading = read(tmp_path / "two")
    assert reading.error is None
    assert brightness_of(reading) == [50, 100, 150] * 2
    assert reading.times == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])


def test_a_file_of_several_among_others_is_told(
    read: Fixture, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for number, suffix in enumerate((".png", ".tiff", ".jpg")):
        (tmp_path / f"{number}{suffix}").write_bytes(encoded(suffix, 50) * (number + 1))
    assert len(read(tmp_path).frames) == 3
    assert "0.png" not in caplog.text
    assert "1.tiff holds 2 pictures" in caplog.text
    assert "2.jpg holds 3 pictures" in caplog.text


def multipart(
    count: int, *, leading: bool = True, headers: bytes | None = None, end: bytes = b"--frame--\r\n"
) -> bytes:
    """A saved stream; `headers` of a part, with %d for the length, in place of the usual ones."""
    usual = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n"
    parts = []
    for number in range(count):
        jpeg = encoded(".jpg", 20 * number)
        own = usual if headers is None else headers
        parts.append((own % len(jpeg) if b"%d" in own else own) + b"\r\n" + jpeg + b"\r\n")
    return (b"--frame\r\n" if leading else b"") + b"--frame\r\n".join(parts) + end


@pytest.mark.parametrize("end", [b"--frame--\r\n", b"--frame\r\n", b"--frame--", b""])
def test_a_saved_multipart_stream_ends_at_its_end(read: Fixture, tmp_path: Path, end: bytes) -> None:
    (tmp_path / "dump.mjpeg").write_bytes(multipart(12, end=end))
    reading = read(tmp_path / "dump.mjpeg")
    assert reading.error is None
    assert brightness_of(reading) == pytest.approx([20 * number for number in range(12)], abs=2)


@pytest.mark.parametrize("chunk", [1, 7, 1024, 10**6])
@pytest.mark.parametrize("leading", [True, False])
@pytest.mark.parametrize(
    "headers",
    [
        None,
        b"Content-Type: image/jpg\r\nContent-Length: %d\r\n",
        b"Content-Length: %d\r\n",
        b"Content-Type: image/jpeg\r\n",
        b"Content-Type: image/jpeg\r\nContent-Length: 0\r\n",
        b"content-type:image/jpeg\r\ncontent-length:%d\r\nX-Timestamp: 1.5\r\n",
    ],
)
def test_parts_are_read_however_a_camera_writes_them(chunk: int, leading: bool, headers: bytes | None) -> None:
    data = multipart(4, leading=leading, headers=headers)
    parts = Parts()
    found = [part for at in range(0, len(data), chunk) for part in parts.feed(data[at : at + chunk])]
    assert [part.strip() for part in found] == [encoded(".jpg", 20 * number) for number in range(4)]


def test_parts_of_text_and_png_are_told_apart() -> None:
    png = encoded(".png", 50)
    text = b"--frame\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi\r\n"
    picture = b"--frame\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n%s\r\n" % (len(png), png)
    parts = Parts()
    assert parts.feed(text + picture + text + picture) == [png, png]
    assert parts.passed_over == 2


def test_the_pages_of_a_tiff_are_pictures_without_its_thumbnails(read: Fixture, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for value in (50, 100, 150):
            file.write(np.full((48, 64, 3), value, np.uint8), photometric="rgb", metadata=None)
            file.write(np.full((24, 32, 3), 255, np.uint8), photometric="rgb", subfiletype=1, metadata=None)
    reading = read(tmp_path / "pages.tif")
    assert reading.error is None
    assert brightness_of(reading) == [50, 100, 150]
    assert reading.info.stills
    assert source_for(str(tmp_path / "pages.tif")).stills


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])  # Pillow reads the one, tifffile the other
def test_pages_of_other_shapes_are_read_and_smaller_copies_are_told(
    read: Fixture, tmp_path: Path, caplog: pytest.LogCaptureFixture, dtype: Any
) -> None:
    shapes = [(48, 64), (64, 48), (96, 128), (24, 32), (48, 60)]
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        for shape in shapes:
            white = 255 if dtype is np.uint8 else 1.0
            file.write(np.full((*shape, 3), white, dtype), photometric="rgb", metadata=None)
    reading = read(tmp_path / "pages.tif")
    assert reading.error is None
    assert [frame.image.shape[:2] for frame in reading.frames] == [shape for shape in shapes if shape != (24, 32)]
    assert "page 4 of the file, 32x24" in caplog.text


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_an_animation_gives_its_frames_at_their_times(read: Fixture, tmp_path: Path, suffix: str) -> None:
    shown = [Pillow.fromarray(np.full((48, 64, 3), 40 * number, np.uint8)) for number in range(5)]
    path = tmp_path / f"moving.{suffix}"
    durations = [100, 200, 50, 100, 100]
    options: dict[str, Any] = {"lossless": True} if suffix == "webp" else {}
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=durations, **options)
    reading = read(path)
    assert reading.error is None
    assert brightness_of(reading) == [0, 40, 80, 120, 160]
    assert reading.times == pytest.approx([0, 0.1, 0.3, 0.35, 0.45])


@pytest.mark.parametrize(
    "options",
    [
        {"tile": (32, 32)},
        {"bigtiff": True},
        {"planarconfig": "separate"},
        {"compression": "deflate"},
    ],
)
def test_every_layout_of_a_tiff_shows_its_picture(
    read: Fixture, make_picture: Fixture, tmp_path: Path, options: dict[str, Any]
) -> None:
    pixels: Image = make_picture()
    given = np.moveaxis(pixels, -1, 0) if "planarconfig" in options else pixels
    tifffile.imwrite(tmp_path / "hand.tif", given, photometric="rgb", **options)
    reading = read(tmp_path / "hand.tif")
    assert reading.error is None
    np.testing.assert_array_equal(reading.frames[0].image, pixels)
    assert "Pillow" in reading.choice("decoder").chosen


@pytest.mark.parametrize("compression", ["jpeg", "tiff_lzw", "zstd", "packbits"])
@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L"])
def test_every_compression_of_a_tiff_shows_its_picture(
    read: Fixture, make_picture: Fixture, tmp_path: Path, compression: str, mode: str
) -> None:
    picture = Pillow.fromarray(make_picture()).convert(mode)
    try:
        picture.save(tmp_path / "hand.tif", compression=compression)
    except (OSError, RuntimeError):
        pytest.skip(f"this Pillow writes no {compression} TIFF")
    reading = read(tmp_path / "hand.tif")
    assert reading.error is None
    expected = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(reading.frames[0].image - expected).mean() < 3


@pytest.mark.parametrize(
    ("dtype", "white"),
    [
        ("float16", 1), ("float32", 1), ("float64", 1), ("float32", 255), ("uint16", 65535),
        ("int16", 32767), ("uint32", 2**32 - 1), ("uint32", 65535), ("int32", 255),
    ],
)  # fmt: skip
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_of_any_numbers_shows_its_picture(
    read: Fixture, make_picture: Fixture, tmp_path: Path, dtype: str, white: float, channels: int
) -> None:
    pixels = make_picture()
    pixels[:2] = 255
    shown = pixels if channels == 3 else np.repeat(pixels[..., :1], 3, 2)
    values = (shown[..., :channels].astype(np.float64) * (white / 255)).astype(dtype)
    photometric = "rgb" if channels == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "hand.tif", values.squeeze(), photometric=photometric)
    reading = read(tmp_path / "hand.tif")
    assert reading.error is None
    np.testing.assert_allclose(reading.frames[0].image, shown, atol=1)


@pytest.mark.parametrize(("extra", "opaque"), [("unspecified", True), ("unassalpha", False)])
def test_a_fourth_sample_is_transparency_only_where_it_says_so(
    read: Fixture, make_picture: Fixture, tmp_path: Path, extra: str, opaque: bool
) -> None:
    pixels = np.dstack([make_picture(), np.zeros((64, 96), np.uint8)])
    tifffile.imwrite(tmp_path / "four.tif", pixels, photometric="rgb", extrasamples=[extra])
    image = read(tmp_path / "four.tif").frames[0].image
    np.testing.assert_array_equal(image, make_picture() if opaque else 0)


def test_a_tiff_that_nobody_reads_is_named_as_what_it_is(read: Fixture, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "five.tif", np.zeros((64, 96, 5), np.float32), photometric="minisblack",
                     planarconfig="contig")  # fmt: skip
    error = read(tmp_path / "five.tif").error
    assert type(error) is SourceError
    assert "5 x float32" in str(error)


def test_a_transparent_avif_shows_black(read: Fixture, make_picture: Fixture, tmp_path: Path) -> None:
    pixels = np.dstack([make_picture(), np.full((64, 96), 255, np.uint8)])
    pixels[:32, :, 3] = 0
    Pillow.fromarray(pixels).save(tmp_path / "cutout.avif", quality=95)
    image = read(tmp_path / "cutout.avif").frames[0].image
    assert image[:30].max() < 8
    assert np.abs(image[34:].astype(int) - make_picture()[34:]).mean() < 6


def test_a_tiff_of_more_than_a_picture_should_have_is_refused(read: Fixture, tmp_path: Path) -> None:
    data = io.BytesIO()
    tifffile.imwrite(data, np.zeros((16, 9000), np.float16), photometric="minisblack")
    (tmp_path / "wide.tif").write_bytes(data.getvalue())
    assert "max_side" in str(read(tmp_path / "wide.tif").error)


def test_videos_beside_pictures_in_a_folder_are_told(
    read: Fixture, tmp_path: Path, make_video: Fixture, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hand.png").write_bytes(encoded(".png", 50))
    make_video(tmp_path / "clip.mp4", 3)
    assert len(read(tmp_path).frames) == 1
    assert "clip.mp4" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("list.m3u", "#EXTM3U\n#EXTINF:10,One\nclip.mp4\n", "playlist"),
        ("plain.m3u", "http://127.0.0.1/clip.mp4\n", "playlist"),
        ("clip.mp4", "\n# mine\nffconcat version 1.0\nfile other.mp4\n", "ffconcat"),
        ("clip.txt", "file 'other.mp4'\nduration 1\nfile 'more.mp4'\n", "ffconcat"),
        ("list.pls", "[playlist]\nFile1=clip.mp4\n", "PLS"),
        ("list.asx", '<asx version="3.0"><entry><ref href="clip.mp4"/></entry></asx>', "ASX"),
        ("clip.mkv", '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"/>', "DASH"),
        ("camera.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=whatever 5004 RTP/AVP 96\n", "SDP"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_playlists_and_descriptions_are_named(
    read: Fixture, tmp_path: Path, name: str, text: str, word: str, encoding: str
) -> None:
    (tmp_path / name).write_text(text, encoding=encoding)
    assert word in str(read(tmp_path / name).error)
