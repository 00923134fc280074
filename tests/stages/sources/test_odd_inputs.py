"""Odd files of many kinds: each is read right, or named as what it is; none is read wrong in silence."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from hamba_core.errors import BrokenSourceError, SourceError
from stages.sources.foreign import foreign_kind

Fixture = Callable[..., Any]
FAST = {"crf": "10", "preset": "ultrafast"}
SLOW = {"crf": "10", "preset": "medium", "bf": "3"}
VIDEOS: dict[str, dict[str, Any]] = {
    "ten bits.mp4": {"codec": "libx264", "pixel_format": "yuv420p10le", "options": FAST},
    "colour in full.mkv": {"codec": "libx264", "pixel_format": "yuv444p", "options": FAST},
    "rgb.mkv": {"codec": "libx264rgb", "pixel_format": "rgb24", "options": FAST},
    "full range.mp4": {"codec": "libx264", "pixel_format": "yuvj420p", "options": FAST},
    "odd size.mkv": {"codec": "ffv1", "pixel_format": "yuv420p", "size": (97, 63)},
    "rgb of ten bits.mkv": {"codec": "ffv1", "pixel_format": "gbrp10le"},
    "fragments.mp4": {"container": {"movflags": "frag_keyframe+empty_moov"}},
    "negative offsets.mp4": {"options": SLOW, "container": {"movflags": "+negative_cts_offsets"}},
    "b frames.ts": {"options": SLOW},
    "b frames.flv": {"options": SLOW},
    "no times.h264": {"options": SLOW, "format": "h264"},
    "alpha.mov": {"codec": "prores_ks", "pixel_format": "yuva444p10le"},
    "alpha.webm": {"codec": "libvpx", "pixel_format": "yuva420p", "options": {"b:v": "2M", "auto-alt-ref": "0"}},
    "bottom up.avi": {"codec": "rawvideo", "pixel_format": "bgr24", "size": (97, 63)},
    "fifteen bits.nut": {"codec": "rawvideo", "pixel_format": "rgb555le"},
    "animation.mov": {"codec": "qtrle", "pixel_format": "argb"},
    "planes.y4m": {"codec": "rawvideo", "format": "yuv4mpegpipe"},
    "frames.mxf": {"codec": "mpeg2video", "rate": 25, "options": {"b:v": "8M"}},
    "old.wmv": {"codec": "wmv2", "options": {"b:v": "8M"}},
    "live.mkv": {"container": {"live": "1"}},
    "slow motion.mp4": {"rate": 960},
}


@pytest.mark.parametrize("name", VIDEOS)
def test_videos(
    make_video: Fixture, read: Fixture, quadrants: Fixture, same_colours: Fixture, make_picture: Fixture,
    tmp_path: Path, name: str,
) -> None:  # fmt: skip
    given = VIDEOS[name]
    reading = read(make_video(tmp_path / name, **given))
    width, height = given.get("size", (96, 64))
    assert reading.error is None
    assert len(reading.frames) == 10
    assert {frame.image.shape for frame in reading.frames} == {(height, width, 3)}
    assert same_colours(quadrants(reading.frames[5].image), quadrants(make_picture(width, height)), 16)
    steps = np.diff(reading.times)
    assert np.allclose(steps, 1 / given.get("rate", 30), atol=2e-3 if "960" not in str(given) else 1e-4)


STAMPS = [0, 33, 40, 300, 301, 1000, 5000, 5033, 5034, 15034]


@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
@pytest.mark.parametrize("begin", [0, 10_000])
def test_variable_rates_and_late_beginnings_keep_their_times(
    make_video: Fixture, read: Fixture, tmp_path: Path, name: str, begin: int
) -> None:
    reading = read(make_video(tmp_path / name, stamps=[begin + stamp for stamp in STAMPS]))
    assert reading.error is None
    assert reading.times == pytest.approx([stamp / 1000 for stamp in STAMPS], abs=2e-3)


def test_a_transport_stream_whose_clock_wraps_goes_on(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    import av

    plain = make_video(tmp_path / "plain.ts", 60)
    with (
        av.open(str(plain)) as given,
        av.open(str(tmp_path / "wraps.ts"), "w", options={"mpegts_copyts": "1"}) as taken,
    ):
        video = given.streams.video[0]
        stream = taken.add_stream_from_template(video)
        shift = (1 << 33) - (video.start_time or 0) - 90_000  # a second before the clock's 33 bits are full
        for packet in given.demux(video):
            if packet.dts is not None and packet.pts is not None:
                packet.dts, packet.pts, packet.stream = packet.dts + shift, packet.pts + shift, stream
                taken.mux(packet)
    reading = read(tmp_path / "wraps.ts")
    assert reading.error is None
    assert reading.times == pytest.approx([number / 30 for number in range(60)], abs=2e-3)


def test_what_an_edit_list_leaves_out_is_not_shown(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", 20, options={**FAST, "g": "1"})
    data = bytearray(path.read_bytes())

    def clock(box: bytes) -> int:
        at = data.find(box) + 16
        return int.from_bytes(data[at : at + 4], "big")

    struct.pack_into(">Ii", data, data.find(b"elst") + 12, clock(b"mvhd") * 15 // 30, clock(b"mdhd") * 5 // 30)
    path.write_bytes(data)
    reading = read(path)
    assert reading.error is None
    assert reading.times == pytest.approx([number / 30 for number in range(15)], abs=2e-3)


def animated(kind: str, make_picture: Fixture, **options: Any) -> bytes:
    pictures = [Image.fromarray(make_picture(shift=4 + 9 * number)) for number in range(5)]
    data = io.BytesIO()
    durations = {"duration": [40, 80, 40, 200, 40]}
    pictures[0].save(data, kind, save_all=True, append_images=pictures[1:], **{**durations, **options})
    return data.getvalue()


@pytest.mark.parametrize(
    ("kind", "options", "within"),
    [("WEBP", {"lossless": True}, 8), ("PNG", {}, 8), ("GIF", {}, 40), ("AVIF", {"quality": 95}, 14)],
)
def test_all_pictures_of_an_animation_come_at_their_times(
    read: Fixture, make_picture: Fixture, quadrants: Fixture, same_colours: Fixture, tmp_path: Path,
    kind: str, options: dict[str, Any], within: int,
) -> None:  # fmt: skip
    (tmp_path / "moves").write_bytes(animated(kind, make_picture, **options))
    reading = read(tmp_path / "moves")
    assert reading.error is None
    assert reading.times == pytest.approx([0, 0.04, 0.12, 0.16, 0.36], abs=2e-3)
    for number, frame in enumerate(reading.frames):
        assert same_colours(quadrants(frame.image), quadrants(make_picture()), within)
        assert frame.image[2, 6 + 9 * number].min() > 150, "the part that moves"


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_with_a_video_behind_it_is_the_picture(
    read: Fixture, make_picture: Fixture, make_video: Fixture, tmp_path: Path, kind: str
) -> None:
    picture = io.BytesIO()
    Image.fromarray(make_picture()).save(picture, kind)
    video = make_video(tmp_path / "clip.mp4")
    (tmp_path / "MVIMG_1.jpg").write_bytes(picture.getvalue() + video.read_bytes())
    reading = read(tmp_path / "MVIMG_1.jpg")
    assert reading.error is None
    assert len(reading.frames) == 1


TIFFS: dict[str, Callable[[Any], tuple[Any, dict[str, Any]]]] = {
    "16 bits, big end first": lambda p: (p.astype(">u2") * 257, {"byteorder": ">"}),
    "planes": lambda p: (np.moveaxis(p, -1, 0).copy(), {"planarconfig": "separate"}),
    "planes in tiles": lambda p: (np.moveaxis(p, -1, 0).copy(), {"planarconfig": "separate", "tile": (32, 32)}),
    "fractions of 64 bits": lambda p: (p / 255, {}),
    "predicted": lambda p: (p, {"compression": "zlib", "predictor": 2}),
    "32 bits": lambda p: (p.astype(np.uint32) * 16843009, {}),
}


@pytest.mark.parametrize("name", TIFFS)
def test_tiffs(
    read: Fixture, make_picture: Fixture, quadrants: Fixture, same_colours: Fixture, tmp_path: Path, name: str
) -> None:
    values, options = TIFFS[name](make_picture())
    tifffile.imwrite(tmp_path / "hand.tif", values, photometric="rgb", **options)
    (frame,) = read(tmp_path / "hand.tif").frames
    assert same_colours(quadrants(frame.image), quadrants(make_picture()), 2)


def test_a_pyramid_is_its_largest_picture(read: Fixture, make_picture: Fixture, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "slide.tif") as file:
        file.write(make_picture(), photometric="rgb", subifds=1)
        file.write(make_picture()[::2, ::2].copy(), photometric="rgb", subfiletype=1)
    assert [frame.image.shape for frame in read(tmp_path / "slide.tif").frames] == [(64, 96, 3)]


def raw_photograph(path: Path, preview: Any, kind: str) -> None:
    if kind == "dng":
        tifffile.imwrite(path, preview, photometric="rgb", subfiletype=1, extratags=[(50706, 1, 4, b"\1\4\0\0", True)])
        return
    with tifffile.TiffWriter(path) as file:
        file.write(preview, photometric="rgb", subfiletype=1, subifds=1)
        file.write(np.zeros((64, 96), np.uint16), photometric=32803, subfiletype=0)


@pytest.mark.parametrize("kind", ["dng", "nef"])
def test_a_cameras_raw_data_are_named_and_their_preview_is_not_read(
    read: Fixture, make_picture: Fixture, tmp_path: Path, kind: str
) -> None:
    raw_photograph(tmp_path / f"DSC_1.{kind}", make_picture(48, 32), kind)
    reading = read(tmp_path / f"DSC_1.{kind}")
    assert type(reading.error) is SourceError
    assert "raw data" in str(reading.error)
    assert not reading.frames


FOREIGN = {
    "pdf": (b"%PDF-1.4\n", "a PDF"),
    "docx": (b"PK\x03\x04", "an archive"),
    "gz": (b"\x1f\x8b\x08", "an archive"),
    "raf": (b"FUJIFILMCCD-RAW 0201", "raw data"),
    "cr2": (b"II*\0\x10\0\0\0CR\x02\0", "raw data"),
    "cr3": (b"\0\0\0\x18ftypcrx \0\0\0\1", "raw data"),
    "mcap": (b"\x89MCAP0\r\n", "hamba view"),
    "npy": (b"\x93NUMPY\1\0", "NumPy"),
    "h5": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "glb": (b"glTF\2\0\0\0", "3D model"),
}


@pytest.mark.parametrize("suffix", FOREIGN)
def test_other_files_are_named_and_pictures_in_them_are_not_taken_for_videos(
    read: Fixture, make_picture: Fixture, tmp_path: Path, suffix: str
) -> None:
    beginning, word = FOREIGN[suffix]
    inside = io.BytesIO()
    Image.fromarray(make_picture()).save(inside, "JPEG")
    (tmp_path / f"file.{suffix}").write_bytes(beginning + bytes(100) + inside.getvalue())
    reading = read(tmp_path / f"file.{suffix}")
    assert type(reading.error) is SourceError
    assert word in str(reading.error)


def test_no_picture_or_video_of_ours_is_taken_for_another_file(
    make_video: Fixture, make_picture: Fixture, tmp_path: Path
) -> None:
    for name in ("a.mp4", "a.mkv", "a.avi", "a.ts", "a.flv"):
        assert foreign_kind(make_video(tmp_path / name, 2).read_bytes()) is None
    for kind in ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "AVIF", "GIF", "TGA", "PPM", "JPEG2000", "QOI"):
        data = io.BytesIO()
        Image.fromarray(make_picture()).save(data, kind)
        assert foreign_kind(data.getvalue()) is None


CUT: dict[str, dict[str, Any]] = {
    "half.wmv": {"codec": "wmv2"},
    "half.avi": {"codec": "mpeg4"},
    "half.mkv": {},
    "half.flv": {},
    "half.mxf": {"codec": "mpeg2video", "rate": 25},
    "half.webm": {"codec": "libvpx"},
    "faststart half.mp4": {"container": {"movflags": "faststart"}},
    "half.gif": {"codec": "gif", "pixel_format": "rgb8", "rate": 25},
    "half.ogg": {"codec": "libvpx", "container": {"page_duration": "10000"}},
}


@pytest.mark.parametrize("name", CUT)
def test_a_copy_that_was_cut_off_says_so_and_keeps_what_came(
    make_video: Fixture, read: Fixture, tmp_path: Path, name: str
) -> None:
    def noise(number: int) -> Any:
        return np.random.default_rng(number).integers(0, 255, (64, 96, 3), np.uint8)

    path = make_video(tmp_path / name, 60, picture=noise, **CUT[name])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    reading = read(path)
    assert type(reading.error) is BrokenSourceError
    assert 15 < len(reading.frames) < 50


@pytest.mark.parametrize(
    ("name", "lost"), [*((name, 0) for name in CUT), *((f"half.{form}", 40) for form in ("mkv", "webm", "gif", "ogg"))]
)
def test_a_copy_that_lacks_its_last_bytes_says_so_and_a_whole_one_does_not(
    make_video: Fixture, read: Fixture, tmp_path: Path, name: str, lost: int
) -> None:
    path = make_video(tmp_path / name, 20, **CUT[name])
    path.write_bytes(path.read_bytes()[: path.stat().st_size - lost])
    reading = read(path)
    assert (type(reading.error) is BrokenSourceError) == (lost > 0)
    assert len(reading.frames) >= 19


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "QOI", "PPM"])
def test_half_a_picture_is_an_error(read: Fixture, tmp_path: Path, kind: str) -> None:
    data = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)).save(data, kind)
    (tmp_path / "half").write_bytes(data.getvalue()[: len(data.getvalue()) // 2])
    reading = read(tmp_path / "half")
    assert type(reading.error) is SourceError
    assert not reading.frames
