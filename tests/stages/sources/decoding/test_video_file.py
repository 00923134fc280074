"""Files that hold several videos, one after another: every picture of each is given, at times that rise evenly."""

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hamba_core.errors import BrokenSourceError
from stages.sources.decoding import spans

Fixture = Callable[..., Any]

H264: dict[str, Any] = {"codec": "libx264"}
MPEG2: dict[str, Any] = {"codec": "mpeg2video", "options": {"b:v": "4M"}}
MPEG4: dict[str, Any] = {"codec": "mpeg4", "options": {"b:v": "4M"}}
VP8: dict[str, Any] = {"codec": "libvpx", "options": {"b:v": "2M"}}
LARGE: dict[str, Any] = {"size": (128, 96)}


def identified(number: int) -> Callable[[Any], None]:
    def setup(stream: Any) -> None:
        stream.id = number

    return setup


def grey(value: int, size: tuple[int, int] = (96, 64)) -> Callable[[int], Any]:
    return lambda index: np.full((size[1], size[0], 3), value + 4 * index, np.uint8)


OTHER_PROGRAM = {"mpegts_service_id": "7", "mpegts_pmt_start_pid": "5000"}
JOINED: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "another codec in the same packets": ("ts", [H264, MPEG2]),
    "and back": ("ts", [H264, MPEG2, H264]),
    "another codec in other packets": ("ts", [H264, {**MPEG2, "setup": identified(300)}]),
    "the same codec in other packets": ("ts", [H264, {**H264, "setup": identified(300)}]),
    "another program": ("ts", [H264, {**H264, "container": OTHER_PROGRAM, "setup": identified(300)}]),
    "packets with a time before them": ("m2ts", [H264, MPEG2]),
    "larger and in other packets": ("ts", [H264, {**MPEG4, **LARGE, "setup": identified(300)}]),
    "a program stream": ("mpg", [MPEG2, {**H264, "format": "vob"}]),
    "matroska": ("mkv", [H264, MPEG4]),
    "matroska of the same codec and another size": ("mkv", [H264, {**H264, **LARGE}]),
    "matroska without lengths": ("mkv", [{**H264, "container": {"live": "1"}}, {**MPEG4, "container": {"live": "1"}}]),
    "webm": ("webm", [VP8, {**VP8, "codec": "libvpx-vp9"}]),
    "mp4": ("mp4", [H264, {**MPEG4, **LARGE}]),
    "mp4 with the index in front": ("mp4", [{**H264, "container": {"movflags": "faststart"}}, H264]),
    "mp4 in fragments": (
        "mp4", [{**H264, "container": {"movflags": "frag_keyframe+empty_moov"}},
                {**H264, **LARGE, "container": {"movflags": "frag_keyframe+empty_moov"}}],
    ),
    "flv": ("flv", [H264, {"codec": "flv", "options": {"b:v": "4M"}}]),
    "wmv": ("wmv", [{"codec": "wmv2", "options": {"b:v": "4M"}}] * 2),
    "ivf": ("ivf", [VP8, VP8]),
    "ogg": ("ogg", [VP8, VP8]),
    "planes": ("y4m", [{"codec": "wrapped_avframe", "format": "yuv4mpegpipe"}] * 2),
    "avi": ("avi", [MPEG4, MPEG4]),
}  # fmt: skip


@pytest.mark.parametrize("name", JOINED)
def test_videos_one_after_another_are_all_read(make_video: Fixture, read: Fixture, tmp_path: Path, name: str) -> None:
    suffix, given = JOINED[name]
    path = tmp_path / f"joined.{suffix}"
    for number, options in enumerate(given):
        size = options.get("size", (96, 64))
        piece = make_video(tmp_path / f"{number}.{suffix}", 12, picture=grey(20 + 70 * number, size), **options)
        with path.open("ab") as file:
            file.write(piece.read_bytes())
    reading = read(path)
    assert reading.error is None
    assert len(reading.frames) == 12 * len(given)
    for number, options in enumerate(given):
        frames = reading.frames[12 * number : 12 * (number + 1)]
        width, height = options.get("size", (96, 64))
        assert {frame.image.shape for frame in frames} == {(height, width, 3)}
        expected = [20 + 70 * number + 4 * index for index in range(12)]
        assert [frame.image.mean() for frame in frames] == pytest.approx(expected, abs=6)
    steps = [after - before for before, after in pairwise(reading.times)]
    assert steps == pytest.approx([1 / 30] * len(steps), abs=0.02)
    assert not any(choice.subject == "damaged input" for choice in reading.choices)
    if name != "avi":  # FFmpeg reads those itself
        assert reading.choice("videos").chosen.startswith(f"{len(given)}, one after another: ")


def test_a_clock_that_goes_on_keeps_the_gap(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    first = make_video(tmp_path / "a.ts", 12)
    later = make_video(tmp_path / "b.ts", 12, stamps=[5000 + 40 * index for index in range(12)], **MPEG4)
    path = tmp_path / "joined.ts"
    path.write_bytes(first.read_bytes() + later.read_bytes())
    reading = read(path)
    assert reading.error is None
    assert reading.times[11] == pytest.approx(11 / 30, abs=2e-3)
    assert reading.times[12:] == pytest.approx([5 + 0.04 * index for index in range(12)], abs=0.1)


def test_a_part_may_begin_and_end_in_the_later_video(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    for suffix in ("mkv", "ts"):
        pieces = [make_video(tmp_path / f"{codec}.{suffix}", 30, codec=codec) for codec in ("libx264", "mpeg4")]
        path = tmp_path / f"joined.{suffix}"
        path.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
        reading = read(path, start=0.5, end=1.5)
        assert reading.error is None
        assert len(reading.frames) == 30
        reading = read(path, start=1.5)
        assert reading.error is None
        assert len(reading.frames) == 15
        assert reading.times[0] == pytest.approx(1.5, abs=2e-3)


def test_what_follows_and_cannot_be_read_is_told(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    whole = make_video(tmp_path / "clip.mkv", 12).read_bytes()
    path = tmp_path / "joined.mkv"
    path.write_bytes(whole + whole[:60])
    reading = read(path)
    assert isinstance(reading.error, BrokenSourceError)
    assert f"from byte {len(whole):,} on" in str(reading.error)
    assert len(reading.frames) == 12


def test_what_is_missing_of_the_first_of_two_is_told(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    def noise(index: int) -> Any:
        return np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8)

    first = bytearray(make_video(tmp_path / "a.ts", 30, options={"g": "5"}, picture=noise).read_bytes())
    half = len(first) // 188 // 2 * 188
    for place in range(half, half + 188 * 60):
        first[place] ^= 0x55 if place % 188 > 4 else 0
    path = tmp_path / "joined.ts"
    path.write_bytes(first + make_video(tmp_path / "b.ts", 12, **MPEG4).read_bytes())
    reading = read(path)
    assert len(reading.frames) > 12 + 15
    assert reading.choice("damaged input").fallback
    assert reading.choice("videos")


def test_one_video_alone_is_read_as_it_was(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    fragments = {"movflags": "frag_keyframe+empty_moov"}
    path = make_video(tmp_path / "clip.mp4", 12, container=fragments)
    repeated = tmp_path / "repeated.mp4"  # a stream in fragments may give its beginning again, for those who join late
    data = path.read_bytes()
    at = data.find(b"moof") - 4
    repeated.write_bytes(data + data[:at])
    for each in (path, repeated, make_video(tmp_path / "clip.ts", 12), make_video(tmp_path / "clip.mkv", 12)):
        reading = read(each)
        assert reading.error is None
        assert len(reading.frames) == 12
        assert reading.info.frames in (11, 12, None)
        assert not any(choice.subject == "videos" for choice in reading.choices)


def test_a_new_size_within_a_video_is_told(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = tmp_path / "joined.h264"
    small, large = (make_video(tmp_path / f"{size}.h264", 12, size=size) for size in ((96, 64), (128, 96)))
    path.write_bytes(small.read_bytes() + large.read_bytes())
    reading = read(path)
    assert len(reading.frames) == 24
    assert reading.choice("size of the pictures").chosen == "128x96 from frame 12 on"


def test_a_flv_that_changes_its_codec_without_beginning_anew_is_read(
    make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    first = make_video(tmp_path / "a.flv", 12, picture=grey(20)).read_bytes()
    second = make_video(tmp_path / "b.flv", 12, codec="flv", options={"b:v": "4M"}, picture=grey(90)).read_bytes()
    path = tmp_path / "joined.flv"
    path.write_bytes(first + second[13:])  # without its header
    reading = read(path)
    assert reading.error is None
    assert [round(frame.image.mean()) for frame in reading.frames] == pytest.approx(
        [base + 4 * index for base in (20, 90) for index in range(12)], abs=6
    )


def test_damaged_structures_end_the_search(tmp_path: Path) -> None:
    for number, data in enumerate((b"\0\0\0\x10ftypisom", b"\x1a\x45\xdf\xa3", b"OggS", b"DKIF\0\0 \0", b"")):
        for tail in (b"", b"\0" * 40, b"\xff" * 40):
            path = tmp_path / f"{number}"
            path.write_bytes(data + tail)
            assert spans.next_video(path) is None


def pictures_joined(path: Path, codec: str, pixel_format: str) -> Path:
    for value in (20, 90, 160):
        encoder: Any = av.CodecContext.create(codec, "w")
        encoder.width, encoder.height, encoder.time_base = 96, 64, Fraction(1, 25)
        encoder.pix_fmt = pixel_format
        picture = np.full((64, 96, 3), value, np.uint8)
        picture[:8, :8] = np.random.default_rng(value).integers(0, 255, (8, 8, 3))
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixel_format)
        with path.open("ab") as file:
            file.write(b"".join(bytes(packet) for packet in (*encoder.encode(frame), *encoder.encode(None))))
    return path


@pytest.mark.parametrize(("codec", "form"), [("sgi", "rgb24"), ("sunrast", "bgr24"), ("dpx", "rgb24")])
def test_pictures_one_after_another_of_kinds_that_are_read_as_videos_are_all_read(
    read: Fixture, tmp_path: Path, codec: str, form: str
) -> None:
    reading = read(pictures_joined(tmp_path / f"run.{codec}", codec, form))
    assert reading.error is None
    assert [frame.image[32, 48, 1] for frame in reading.frames] == [20, 90, 160]
    assert np.diff(reading.times).min() > 0


def test_pictures_of_which_the_first_alone_can_be_read_are_told(read: Fixture, tmp_path: Path) -> None:
    reading = read(pictures_joined(tmp_path / "run.tga", "targa", "bgr24"))
    assert len(reading.frames) == 1
    assert isinstance(reading.error, BrokenSourceError)
    assert "another picture follows at byte" in str(reading.error)
