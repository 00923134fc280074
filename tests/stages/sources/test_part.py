"""A part of a file is, picture for picture and time for time, what reading all of it gives there."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from hamba_core.errors import ConfigurationError, NoPicturesError
from stages.contract import Source
from stages.packets import Image
from stages.sources import SourceSettings, source_for
from stages.sources.decoding import VideoDecoder
from stages.sources.pacing import PacedSource
from stages.sources.part import PartSource

Fixture = Callable[..., Any]
FRAMES, RATE = 60, 25
LONG_GOP = {"g": "12", "bf": "3", "crf": "20", "preset": "medium"}


def moving(index: int) -> Image:
    """A picture that no other is like: every frame needs its own data."""
    rng = np.random.default_rng(index // 3)
    noise = np.repeat(np.repeat(rng.integers(0, 255, (8, 12, 3), np.uint8), 8, axis=0), 8, axis=1)
    noise[:, index % 96] = 255
    return noise


FILES: dict[str, dict[str, Any]] = {
    "b-frames.mp4": {"options": {**LONG_GOP, "x264-params": "scenecut=0"}},
    "open-gop.mp4": {"options": {**LONG_GOP, "x264-params": "open-gop=1:scenecut=0:bframes=4:b-pyramid=normal"}},
    "open-gop.mkv": {"options": {**LONG_GOP, "x264-params": "open-gop=1:scenecut=0:bframes=4"}},
    "refreshed.mp4": {"options": {"g": "12", "crf": "20", "x264-params": "intra-refresh=1:keyint=12:bframes=0"}},
    "hevc-open-gop.mp4": {
        "codec": "libx265", "options": {"x265-params": "open-gop=1:keyint=12:min-keyint=12:bframes=4:log-level=none"}
    },
    "fragmented.mp4": {"options": LONG_GOP, "container": {"movflags": "frag_keyframe+empty_moov"}},
    "trimmed.mp4": {
        "options": LONG_GOP,
        "stamps": [40 * (index - 17) for index in range(FRAMES)],
        "container": {"use_editlist": "1", "avoid_negative_ts": "disabled"},
    },
    "variable.mkv": {"options": LONG_GOP, "stamps": [40 * i + 13 * (i % 3) for i in range(FRAMES)]},
    "late.mkv": {"options": LONG_GOP, "stamps": [7000 + 40 * i for i in range(FRAMES)]},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "12"}},
    "mpeg4.mp4": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "stream.ts": {"options": LONG_GOP},
    "b-frames.avi": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "bare.h264": {"options": LONG_GOP},
    "prores.mov": {"codec": "prores_ks", "pixel_format": "yuv422p10le"},
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_part_is_what_the_whole_has_there(name: str, make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / name, FRAMES, rate=RATE, picture=moving, **FILES[name])
    whole = read(path)
    assert whole.error is None
    times = whole.times
    assert len(times) >= FRAMES - 17
    for first in (1, 5, 12, 13, 23, 24, 25, 38):
        start = (times[first - 1] + times[first]) / 2
        end = times[first + 4]
        part = read(path, start=start, end=end)
        assert part.error is None
        assert part.times == times[first : first + 4]
        assert [frame.meta.index for frame in part.frames] == [0, 1, 2, 3]
        for found, expected in zip(part.frames, whole.frames[first:], strict=False):
            np.testing.assert_array_equal(found.image, expected.image)
    rest = read(path, start=times[30])
    assert rest.error is None
    assert rest.times == times[30:]


def test_parts_that_meet_have_every_frame_once(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", FRAMES, rate=RATE, options=LONG_GOP)
    bounds = [0.0, 0.4, 1.0, 1.36, 2.0]  # also those that are a frame's time
    parts = [read(path, start=a, end=b).times for a, b in zip(bounds, [*bounds[1:], None], strict=True)]
    assert [pts for part in parts for pts in part] == read(path).times


def test_going_to_a_late_time_decodes_little_of_the_file(
    make_video: Fixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "long.mp4", 500, rate=RATE, options={"g": "25", "bf": "2"})
    decode, packets = VideoDecoder.decode, 0

    def counted(decoder: VideoDecoder, packet: Any, **how: Any) -> Any:
        nonlocal packets
        packets += 1
        return decode(decoder, packet, **how)

    monkeypatch.setattr(VideoDecoder, "decode", counted)
    source = source_for(str(path), SourceSettings(start=18.0))
    source.open()
    source.close()
    assert packets < 80


def test_what_is_told_of_a_part_is_the_parts(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    reading = read(make_video(tmp_path / "clip.mp4", 50, rate=25), start=0.5, end=1.5)
    assert reading.info.frames == len(reading.frames) == 25
    assert reading.choice("part").chosen == "from 0.5 s to 1.5 s"


def test_damage_outside_of_a_part_is_not_of_it(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", FRAMES, rate=RATE, picture=moving, options=LONG_GOP)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) * 3 // 4] + b"\0" * (len(data) // 4))  # its index is at the end
    path = make_video(
        tmp_path / "fast.mp4", FRAMES, rate=RATE, picture=moving, options=LONG_GOP, container={"movflags": "faststart"}
    )
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 4])
    assert read(path).error is not None
    part = read(path, start=0.2, end=0.8)
    assert (part.error, len(part.frames)) == (None, 15)


@pytest.mark.parametrize("settings", [{"start": 99.0}, {"start": 1.001, "end": 1.002}])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts"])
def test_a_part_without_pictures_is_an_error(
    name: str, settings: dict[str, float], make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    reading = read(make_video(tmp_path / name, 50, rate=25), **settings)
    assert isinstance(reading.error, NoPicturesError)
    assert "source.start" in str(reading.error)
    assert not reading.frames


@pytest.mark.parametrize(
    ("given", "seconds"), [("90", 90.0), ("1:30", 90.0), ("1:02:03.5", 3723.5), (2, 2.0), ("0:07", 7.0)]
)
def test_times_are_seconds_or_as_on_a_clock(given: object, seconds: float) -> None:
    assert SourceSettings.model_validate({"start": given}).start == seconds


@pytest.mark.parametrize(
    "given", [{"start": "1:75"}, {"start": -1}, {"start": 2, "end": 1}, {"end": 0}, {"start": "x"}]
)
def test_times_that_make_no_sense_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SourceSettings.model_validate(given)


def numbered(folder: Path, make_picture: Fixture) -> Sequence[Path]:
    import cv2

    paths = [folder / f"frame-{number:03}.png" for number in range(30)]
    for path in paths:
        cv2.imwrite(str(path), make_picture())
    return paths


def test_pictures_of_a_scene_and_the_test_pattern_have_parts_too(
    make_picture: Fixture, read: Fixture, tmp_path: Path
) -> None:
    numbered(tmp_path, make_picture)
    reading = read(tmp_path, start=0.5, end=0.8, pictures={"rate": 10})
    assert reading.times == pytest.approx([0.5, 0.6, 0.7])
    assert [frame.meta.index for frame in reading.frames] == [0, 1, 2]
    assert reading.info.frames == 3
    pattern = read("synthetic:?width=64&height=64&fps=10&seconds=2", start=1.5)
    assert pattern.times == pytest.approx([1.5, 1.6, 1.7, 1.8, 1.9])


def test_what_has_no_times_has_no_parts(make_picture: Fixture, tmp_path: Path) -> None:
    single = numbered(tmp_path, make_picture)[0]
    for name in (str(single), "synthetic:?live=1", "rtsp://127.0.0.1:9/none"):
        with pytest.raises(ConfigurationError, match=r"source\.start, source\.end: expected a video"):
            source_for(name, SourceSettings(start=1.0))


def test_a_part_begins_at_once_when_it_is_played_at_its_own_rate(make_video: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", 50, rate=25)
    now = 0
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        nonlocal now
        slept.append(seconds)
        now += round(seconds * 1e9)

    inner: Source = source_for(str(path), SourceSettings(start=1.0, end=1.2))
    source = PacedSource(inner, clock=lambda: now, sleep=sleep)
    source.open()
    frames = [frame for frame in source.frames() if frame is not None]
    source.close()
    assert len(frames) == 5
    assert sum(slept) == pytest.approx(0.16)
    assert isinstance(source_for("synthetic:", SourceSettings(end=1.0)), PartSource)
