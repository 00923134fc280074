"""Which track of a file is taken, from when to when it lasts, and when its pictures are due."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from hamba_core.errors import BrokenSourceError, SourceError
from stages.packets import Image

Fixture = Callable[..., Any]

LARGE, SMALL = (128, 96), (64, 48)


def two_tracks(path: Path, sizes: tuple[tuple[int, int], ...], *, default: int | None = None) -> Path:
    """A file with a video track of each size; the number of a track is how bright it is, 40 a step."""
    with av.open(str(path), "w") as output:
        streams = []
        for number, (width, height) in enumerate(sizes):
            stream: Any = output.add_stream("mpeg4", rate=30)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            if default is not None:
                chosen = number == default
                stream.disposition = av.stream.Disposition.default if chosen else av.stream.Disposition(0)
            streams.append(stream)
        for index in range(12):
            for number, (stream, (width, height)) in enumerate(zip(streams, sizes, strict=True)):
                picture = np.full((height, width, 3), 40 * (number + 1), np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = index
                output.mux(stream.encode(frame))
        for stream in streams:
            output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["clip.mkv", "clip.webm"])
@pytest.mark.parametrize("begins", [0, 10_000])
def test_a_video_that_does_not_begin_at_zero_is_whole(
    make_video: Fixture, read: Fixture, tmp_path: Path, name: str, begins: int
) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    path = make_video(
        tmp_path / name, 36, codec=codec, stamps=[begins + round(index * 1000 / 30) for index in range(36)]
    )
    reading = read(path)
    assert reading.error is None
    assert len(reading.frames) == 36
    assert abs(reading.info.frames - 36) <= 1


def sound_first(path: Path, seconds: float, picture: Callable[[int], Image]) -> Path:
    """A video of 36 frames that begins so many seconds after its sound."""
    with av.open(str(path), "w") as output:
        sound: Any = output.add_stream("libopus", rate=48000)
        video: Any = output.add_stream("libvpx", rate=30)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        for index in range(round((seconds + 1.2) * 50)):
            samples = av.AudioFrame.from_ndarray(np.zeros((1, 960), np.int16), format="s16", layout="mono")
            samples.sample_rate, samples.pts = 48000, index * 960
            output.mux(sound.encode(samples))
        output.mux(sound.encode(None))
        for index in range(36):
            frame = av.VideoFrame.from_ndarray(picture(index), format="rgb24")
            frame.pts = index + round(seconds * 30)
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
    return path


@pytest.mark.parametrize("suffix", ["webm", "mkv"])
@pytest.mark.parametrize("seconds", [2.5, 30.0])  # FFmpeg looks for the first picture in five seconds
def test_a_video_with_sound_before_it_is_whole(
    read: Fixture, make_picture: Fixture, tmp_path: Path, suffix: str, seconds: float
) -> None:
    path = sound_first(tmp_path / f"clip.{suffix}", seconds, lambda index: make_picture(shift=4 + index))
    reading = read(path)
    assert reading.error is None
    assert len(reading.frames) == 36


def test_one_that_does_not_begin_at_zero_and_is_cut_off_breaks_off(
    make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    stamps = [10_000 + index * 40 for index in range(100)]
    path = make_video(
        tmp_path / "whole.mkv",
        100,
        stamps=stamps,
        picture=lambda index: np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8),
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    error = read(path).error
    assert isinstance(error, BrokenSourceError)
    assert "s of the 3.99 s" in str(error)  # the last picture lasts a frame of 30 a second


@pytest.mark.parametrize("sizes", [(LARGE, SMALL), (SMALL, LARGE)])
@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_of_several_videos_the_largest_is_taken_and_told(
    read: Fixture, tmp_path: Path, sizes: tuple[tuple[int, int], ...], suffix: str
) -> None:
    both = None if suffix == "ts" else -1  # none is the default
    reading = read(two_tracks(tmp_path / f"clip.{suffix}", sizes, default=both))
    assert reading.error is None
    assert (reading.info.width, reading.info.height) == LARGE
    assert len(reading.frames) == 12
    told = reading.choice("video track")
    assert told.chosen.startswith(f"{sizes.index(LARGE)} of ")
    assert "128x96" in told.chosen
    assert "64x48" in told.chosen
    assert "source.track" in told.reason


@pytest.mark.parametrize("default", [0, 1])
def test_the_default_of_several_videos_is_taken(read: Fixture, tmp_path: Path, default: int) -> None:
    reading = read(two_tracks(tmp_path / "clip.mkv", (LARGE, SMALL), default=default))
    assert (reading.info.width, reading.info.height) == (LARGE, SMALL)[default]


@pytest.mark.parametrize("track", [0, 1, 2])
def test_a_track_can_be_chosen(read: Fixture, tmp_path: Path, track: int) -> None:
    reading = read(two_tracks(tmp_path / "clip.mkv", (SMALL, LARGE, SMALL)), track=track)
    assert reading.error is None
    assert {round(frame.image.mean() / 40) for frame in reading.frames} == {track + 1}


def test_a_track_that_is_not_there_is_an_error_that_lists_them(read: Fixture, tmp_path: Path) -> None:
    error = read(two_tracks(tmp_path / "clip.mkv", (SMALL, LARGE)), track=2).error
    assert type(error) is SourceError
    assert "0: mpeg4 64x48, 1: mpeg4 128x96" in str(error)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_an_avi_with_b_frames_has_its_pictures_at_even_times(
    make_video: Fixture, read: Fixture, tmp_path: Path, codec: str
) -> None:
    options = {"bf": "2", **({"preset": "medium", "x264-params": "scenecut=0"} if codec == "libx264" else {})}
    path = make_video(
        tmp_path / "clip.avi",
        36,
        codec=codec,
        options=options,
        picture=lambda index: np.full((64, 96, 3), 10 + 6 * index, np.uint8),
    )
    with av.open(str(path)) as container:
        kinds = {frame.pict_type for frame in container.decode(video=0)}
    assert PictureType.B in kinds
    reading = read(path)
    assert reading.error is None
    brightness = [frame.image.mean() for frame in reading.frames]
    assert brightness == sorted(brightness)
    assert reading.times == pytest.approx([index / 30 for index in range(36)], abs=1e-6)
