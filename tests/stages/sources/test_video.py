import gc
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from hamba_core.errors import SourceError
from stages.sources import source_for

Fixture = Callable[..., Any]
COLOURS = [(220, 30, 30), (30, 200, 40), (30, 40, 220), (190, 190, 190)]  # of the clip, row by row


def test_every_frame_comes_once_in_order_with_its_time(
    make_video: Fixture, read: Fixture, tmp_path: Path, quadrants: Fixture, same_colours: Fixture
) -> None:
    reading = read(make_video(tmp_path / "clip.mp4", 25, rate=25))
    assert reading.error is None
    assert [frame.meta.index for frame in reading.frames] == list(range(25))
    assert reading.times == pytest.approx([index / 25 for index in range(25)])
    stamps = [frame.meta.captured_ns for frame in reading.frames]
    assert stamps == sorted(stamps)
    assert time.monotonic_ns() - stamps[0] < 60e9
    assert all(same_colours(quadrants(frame.image), COLOURS) for frame in reading.frames)


def test_what_is_known_of_a_file_is_told_before_the_first_frame(
    make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    info = read(make_video(tmp_path / "clip.mp4", 25, rate=25, size=(112, 48))).info
    assert (info.kind, info.live, info.width, info.height, info.fps, info.frames) == ("file", False, 112, 48, 25, 25)
    assert info.name == str(tmp_path / "clip.mp4")
    assert info.camera.estimated


def test_frames_carry_the_name_of_their_stream(make_video: Fixture, tmp_path: Path) -> None:
    source = source_for(str(make_video(tmp_path / "clip.mp4", 2)), stream="left-eye")
    source.open()
    assert {frame.meta.stream for frame in source.frames() if frame} == {"left-eye"}
    source.close()


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("h264.mp4", "libx264", "yuv420p"),
        ("h264.mkv", "libx264", "yuv444p"),
        ("h264-10.mp4", "libx264", "yuv420p10le"),
        ("hevc-10.mp4", "libx265", "yuv420p10le"),
        ("vp9.webm", "libvpx-vp9", "yuv420p"),
        ("av1.mp4", "libsvtav1", "yuv420p"),
        ("prores.mov", "prores_ks", "yuv422p10le"),
        ("mjpeg.avi", "mjpeg", "yuvj420p"),
        ("mpeg4.avi", "mpeg4", "yuv420p"),
        ("mpeg2.mpg", "mpeg2video", "yuv420p"),
        ("h264.ts", "libx264", "yuv420p"),
        ("h264.flv", "libx264", "yuv420p"),
        ("ffv1.mkv", "ffv1", "bgr0"),
        ("raw.y4m", "rawvideo", "yuv420p"),
    ],
)
def test_formats_give_the_same_picture(
    make_video: Fixture,
    read: Fixture,
    tmp_path: Path,
    quadrants: Fixture,
    same_colours: Fixture,
    name: str,
    codec: str,
    pixel_format: str,
) -> None:
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    format_ = "yuv4mpegpipe" if name.endswith("y4m") else None
    if codec == "rawvideo":
        codec = "wrapped_avframe"
    path = make_video(
        tmp_path / name, 6, size=(128, 96), codec=codec, pixel_format=pixel_format, options=quiet, format=format_
    )
    reading = read(path)
    assert reading.error is None
    assert len(reading.frames) == 6
    assert same_colours(quadrants(reading.frames[3].image), COLOURS, within=12)


def test_grey_video_is_grey(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    reading = read(make_video(tmp_path / "grey.mp4", 3, pixel_format="gray"))
    assert all(np.ptp(frame.image.astype(int), axis=2).max() == 0 for frame in reading.frames)


@pytest.mark.parametrize("codec", ["h264", "ffv1"])
def test_odd_sizes_are_kept(make_video: Fixture, read: Fixture, tmp_path: Path, codec: str) -> None:
    pixel_format = "yuv444p" if codec == "h264" else "yuv420p"
    codec = "libx264" if codec == "h264" else codec
    reading = read(make_video(tmp_path / "odd.mkv", 3, size=(101, 67), codec=codec, pixel_format=pixel_format))
    assert (reading.info.width, reading.info.height) == (101, 67)
    assert reading.frames[2].image.shape == (67, 101, 3)


# PyAV counts degrees counter-clockwise, as FFmpeg's matrix does: -90 is what a phone writes that was held upright.
@pytest.mark.parametrize(
    ("degrees", "order"), [(0, (0, 1, 2, 3)), (-90, (2, 0, 3, 1)), (180, (3, 2, 1, 0)), (90, (1, 3, 0, 2))]
)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_rotated_videos_are_upright(
    make_video: Fixture,
    read: Fixture,
    tmp_path: Path,
    quadrants: Fixture,
    same_colours: Fixture,
    degrees: int,
    order: tuple[int, ...],
    suffix: str,
) -> None:
    path = make_video(
        tmp_path / f"phone.{suffix}", 4, size=(96, 64), setup=lambda stream: stream.set_display_rotation(degrees)
    )
    reading = read(path)
    turned = degrees in (90, -90)
    assert (reading.info.width, reading.info.height) == ((64, 96) if turned else (96, 64))
    for frame in reading.frames:
        assert frame.image.shape[:2] == (frame.meta.height, frame.meta.width)
        assert frame.image.flags.c_contiguous
        assert same_colours(quadrants(frame.image), [COLOURS[i] for i in order])
    camera = reading.info.camera
    assert (camera.cx, camera.cy) == (reading.info.width / 2, reading.info.height / 2)


def test_a_mirrored_video_is_mirrored_back(
    make_video: Fixture, read: Fixture, tmp_path: Path, quadrants: Fixture, same_colours: Fixture
) -> None:
    path = make_video(tmp_path / "selfie.mp4", 2, setup=lambda stream: stream.set_display_rotation(0, hflip=True))
    assert same_colours(quadrants(read(path).frames[0].image), [COLOURS[i] for i in (1, 0, 3, 2)])


def test_opencv_turns_the_same_file_the_same_way(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "phone.mp4", 2, setup=lambda stream: stream.set_display_rotation(-90))
    capture = cv2.VideoCapture(str(path))
    got, theirs = capture.read()
    capture.release()
    assert got
    ours = read(path).frames[0].image
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs[..., ::-1]).mean() < 3


def test_a_variable_frame_rate_keeps_its_times(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    stamps = [0, 33, 50, 150, 151, 400, 1000]
    reading = read(make_video(tmp_path / "vfr.mkv", 7, stamps=stamps))
    assert reading.times == pytest.approx([stamp / 1000 for stamp in stamps], abs=2e-3)
    assert reading.error is None


def test_times_count_from_the_first_picture_wherever_the_file_begins(
    make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    reading = read(make_video(tmp_path / "late.mkv", 4, stamps=[7000, 7040, 7080, 7120]))
    assert reading.times == pytest.approx([0, 0.04, 0.08, 0.12], abs=2e-3)


def test_what_was_trimmed_away_is_neither_shown_nor_missed(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    # Phones trim by an edit list: the pictures stay in the file, and are not to be shown.
    path = make_video(
        tmp_path / "trimmed.mp4",
        90,
        stamps=[40 * (index - 50) for index in range(90)],
        rate=25,
        container={"use_editlist": "1", "avoid_negative_ts": "disabled"},
    )
    reading = read(path)
    assert reading.error is None
    assert len(reading.frames) == 40
    assert reading.info.frames == 40
    assert reading.times == pytest.approx([index / 25 for index in range(40)], abs=2e-3)


def test_a_stream_without_times_gets_them_from_its_rate(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    reading = read(make_video(tmp_path / "bare.h264", 8, rate=24))
    assert reading.times == pytest.approx([index / 24 for index in range(8)], abs=1e-6)
    assert "8 filled in" in reading.choice("time stamps").chosen


def test_oblong_pixels_are_shown_as_they_should_look(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    def anamorphic(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    path = make_video(tmp_path / "dv.mkv", 2, size=(96, 64), setup=anamorphic)
    assert read(path).frames[0].image.shape == (64, 128, 3)


def test_a_stream_that_changes_its_size_gives_frames_of_their_own_size_and_camera(
    make_video: Fixture, read: Fixture, tmp_path: Path, quadrants: Fixture, same_colours: Fixture
) -> None:
    small = make_video(tmp_path / "small.ts", 5, size=(96, 64)).read_bytes()
    large = make_video(tmp_path / "large.ts", 5, size=(160, 128)).read_bytes()
    path = tmp_path / "both.ts"
    path.write_bytes(small + large)
    reading = read(path)
    sizes = [(frame.meta.width, frame.meta.height) for frame in reading.frames]
    assert sizes == [(96, 64)] * 5 + [(160, 128)] * 5
    for frame in reading.frames:
        assert frame.image.shape == (frame.meta.height, frame.meta.width, 3)
        assert (frame.meta.camera.cx, frame.meta.camera.cy) == (frame.meta.width / 2, frame.meta.height / 2)
    assert same_colours(quadrants(reading.frames[8].image), COLOURS)
    assert reading.times == sorted(set(reading.times))


def test_sound_beside_the_video_is_passed_over(read: Fixture, make_picture: Fixture, tmp_path: Path) -> None:
    path = tmp_path / "both.mp4"
    with av.open(str(path), "w") as output:
        video = output.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound = output.add_stream("aac", rate=44100)
        for index in range(5):
            output.mux(video.encode(av.VideoFrame.from_ndarray(make_picture(), format="rgb24")))
            noise = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.float32), format="fltp", layout="mono")
            noise.sample_rate, noise.pts = 44100, index * 4410
            output.mux(sound.encode(noise))
        output.mux(video.encode(None))
        output.mux(sound.encode(None))
    reading = read(path)
    assert (len(reading.frames), reading.error) == (5, None)


@pytest.mark.parametrize("name", ["with space.mp4", "100%d.mp4", "über [1] *.mp4", "a:b?c#d.mp4", "line\nbreak.mp4"])
def test_no_sign_in_a_file_name_means_anything(make_video: Fixture, read: Fixture, tmp_path: Path, name: str) -> None:
    plain = make_video(tmp_path / "plain.mp4", 2)
    plain.rename(tmp_path / name)
    assert len(read(tmp_path / name).frames) == 2


def test_a_file_may_have_any_suffix_or_none(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", 2).rename(tmp_path / "clip")
    assert len(read(path).frames) == 2


def test_the_decoder_and_its_threads_are_told(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    reading = read(make_video(tmp_path / "clip.mp4", 2), decoding={"threads": 3})
    assert reading.choice("decoder").chosen == "h264, FFmpeg software, 3 threads"


def test_a_source_can_be_closed_early_twice_and_unopened(make_video: Fixture, tmp_path: Path) -> None:
    path = str(make_video(tmp_path / "clip.mp4", 5))
    source = source_for(path)
    source.open()
    frames = source.frames()
    next(frames)
    source.close()
    source.close()
    source_for(path).close()
    with pytest.raises(SourceError, match="call open first"):
        next(source_for(path).frames())


def test_frames_that_were_given_are_freed_at_once(make_video: Fixture, tmp_path: Path) -> None:
    source = source_for(str(make_video(tmp_path / "clip.mp4", 60)))
    source.open()
    gc.collect()
    gc.disable()
    try:
        assert sum(frame is not None for frame in source.frames()) == 60
        assert sum(type(thing) is av.VideoFrame for thing in gc.get_objects()) < 10
    finally:
        gc.enable()
        source.close()
