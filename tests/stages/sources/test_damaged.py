"""Files that are not what they should be: clear words, and nothing lost that can be had."""

import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hamba_core.errors import BrokenSourceError, SourceError
from stages.packets import Image
from stages.sources import source_for

Fixture = Callable[..., Any]


def failure(name: object, read: Fixture) -> SourceError:
    reading = read(name)
    assert type(reading.error) is SourceError, reading.error
    assert str(name) in str(reading.error)
    assert reading.frames == []
    return reading.error


def noise(index: int) -> Image:
    return np.random.default_rng(index).integers(0, 255, (64, 96, 3), np.uint8)


def cut(path: Path, share: float, name: str) -> Path:
    data = path.read_bytes()
    result = path.with_name(name)
    result.write_bytes(data[: int(len(data) * share)])
    return result


def test_a_missing_file_is_named_with_the_nearest_there_is(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    make_video(tmp_path / "holiday.mp4", 2)
    assert "did you mean" in str(failure(tmp_path / "holidays.mp4", read))
    assert "holiday.mp4" in str(failure(tmp_path / "holidays.mp4", read))


def test_an_empty_file(read: Fixture, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty file" in str(failure(tmp_path / "empty.mp4", read))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "txt", "jpg", "nfo"])
def test_text_under_any_name(read: Fixture, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"notes.{suffix}"
    path.write_text("Dear diary, grüße. Today I filmed nothing at all.\n" * 50)
    assert "found text" in str(failure(path, read))


def test_zeros(read: Fixture, tmp_path: Path) -> None:
    (tmp_path / "zeros.mp4").write_bytes(bytes(100_000))
    assert "zeros" in str(failure(tmp_path / "zeros.mp4", read))


def test_noise(read: Fixture, tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(random.Random(5).randbytes(100_000))
    failure(tmp_path / "noise.mp4", read)


def sound(path: Path, cover: bytes = b"") -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac" if path.suffix == ".m4a" else "libmp3lame", rate=44100)
        picture = None
        if cover:
            picture = output.add_stream("mjpeg", rate=1)
            picture.width, picture.height, picture.pix_fmt = 64, 64, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        for index in range(20):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1152), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 44100, index * 1152
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if picture is not None:
            packet = av.Packet(cover)
            packet.stream, packet.pts, packet.dts = picture, 0, 0
            output.mux(packet)
    return path


def test_sound_alone(read: Fixture, tmp_path: Path) -> None:
    assert "sound and no video" in str(failure(sound(tmp_path / "song.m4a"), read))


def test_sound_with_a_cover_picture(read: Fixture, make_picture: Fixture, tmp_path: Path) -> None:
    import cv2

    cover = cv2.imencode(".jpg", make_picture(64, 64))[1].tobytes()
    assert "cover picture" in str(failure(sound(tmp_path / "song.mp3", cover), read))


def test_a_recording_that_was_not_finished(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = cut(make_video(tmp_path / "whole.mp4", 30), 0.8, "unfinished.mp4")
    assert "moov" in str(failure(path, read))


def test_a_codec_that_nobody_knows(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", 5)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzz9"))
    assert "codec" in str(failure(path, read))


def test_a_folder_without_pictures(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    make_video(tmp_path / "clip.mp4", 2)
    assert "clip.mp4" in str(failure(tmp_path, read))


def test_an_empty_folder(read: Fixture, tmp_path: Path) -> None:
    assert "found nothing" in str(failure(tmp_path, read))


@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "/dev/random"])
def test_devices_that_are_no_cameras(read: Fixture, name: str) -> None:
    assert "character device" in str(failure(name, read))


def test_a_named_pipe_is_not_waited_for(read: Fixture, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "named pipe" in str(failure(tmp_path / "pipe.mp4", read))


def test_links_that_lead_nowhere_or_in_circles(read: Fixture, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone.mp4")
    assert "symbolic link" in str(failure(tmp_path / "a.mp4", read))
    assert "gone.mp4" in str(failure(tmp_path / "dangling.mp4", read))


@pytest.mark.parametrize("name", ["a\0b.mp4", "x" * 5000, "\udcff.mp4", " ", ""])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(SourceError):
        source_for(name)


def test_a_file_that_may_not_be_read(
    make_video: Fixture, tmp_path: Path, read: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "private.mp4", 2)
    path.chmod(0)
    if os.geteuid() == 0:
        # Root may read everything: refuse as the system would.
        def refuse(self: Path, *_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "open", refuse)
    try:
        assert "permission denied" in str(failure(path, read))
    finally:
        monkeypatch.undo()
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)


@pytest.mark.parametrize("size", [(2, 2), (8, 200)])
def test_a_video_too_small_to_show_a_hand(
    make_video: Fixture, read: Fixture, tmp_path: Path, size: tuple[int, int]
) -> None:
    path = make_video(tmp_path / "tiny.mkv", 2, size=size, codec="ffv1")
    assert f"{size[0]}x{size[1]}" in str(failure(path, read))


def test_a_video_larger_than_the_limit_names_it(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "wide.mkv", 2, size=(20000, 32), codec="ffv1")
    assert "source.decoding.max_side" in str(failure(path, read))
    assert "20000x32" in str(failure(path, read))
    assert len(read(path, decoding={"max_side": 20000}).frames) == 2


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("faststart.mp4", {"movflags": "+faststart"}),
        ("fragments.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("clip.mkv", {}),
        ("clip.flv", {}),
        ("clip.avi", {}),
    ],
)
def test_a_file_that_breaks_off_keeps_what_came_before(
    make_video: Fixture, read: Fixture, tmp_path: Path, name: str, container: dict[str, str]
) -> None:
    codec = "mpeg4" if name.endswith("avi") else "libx264"
    path = make_video(tmp_path / name, 90, container=container, codec=codec, options={"g": "30"}, picture=noise)
    assert read(path).error is None
    reading = read(cut(path, 0.6, f"cut-{name}"))
    assert isinstance(reading.error, BrokenSourceError)
    assert reading.error.exit_status == 3
    assert 30 < len(reading.frames) < 80
    assert f"{len(reading.frames)} frames" in str(reading.error)
    assert "breaks off" in str(reading.error)


def test_a_transport_stream_has_no_end_to_miss(make_video: Fixture, read: Fixture, tmp_path: Path) -> None:
    reading = read(cut(make_video(tmp_path / "clip.ts", 90), 0.6, "cut.ts"))
    assert reading.error is None
    assert 30 < len(reading.frames) < 80


@pytest.mark.parametrize("threads", [1, 4])
def test_damage_in_the_middle_is_passed_over_and_told_at_the_end(
    make_video: Fixture, read: Fixture, tmp_path: Path, threads: int
) -> None:
    path = make_video(tmp_path / "clip.mkv", 60, picture=noise)
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    data = path.read_bytes()
    path.write_bytes(data.replace(packets[30], bytes(len(packets[30]))))
    reading = read(path, decoding={"threads": threads})
    assert isinstance(reading.error, BrokenSourceError)
    assert "1 packet" in str(reading.error)
    assert len(reading.frames) == 59
    assert reading.times[-1] == pytest.approx(59 / 30, abs=2e-3)
    assert reading.choice("damaged input").fallback


def test_damage_that_the_decoder_patches_up_is_no_error_but_told(
    make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    path = make_video(
        tmp_path / "clip.mp4",
        60,
        size=(320, 240),
        codec="mpeg4",
        options={"g": "10", "b": "2000000"},
        picture=lambda index: np.random.default_rng(index).integers(0, 255, (240, 320, 3), np.uint8),
    )
    with av.open(str(path)) as container:
        packets = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    position, size = packets[33]
    data = bytearray(path.read_bytes())
    data[position + size // 2 : position + size // 2 + 40] = b"\xa5" * 40
    path.write_bytes(data)
    reading = read(path)
    assert reading.error is None
    assert len(reading.frames) == 60
    assert "patched up" in reading.choice("damaged input").chosen


def test_a_recording_that_begins_between_key_frames_is_whole(
    make_video: Fixture, read: Fixture, tmp_path: Path
) -> None:
    path = make_video(tmp_path / "clip.ts", 60, options={"g": "20", "keyint_min": "20", "sc_threshold": "0"})
    data = path.read_bytes()
    late = path.with_name("late.ts")
    late.write_bytes(data[188 * (len(data) // 188 // 6) :])
    reading = read(late)
    assert reading.error is None
    assert 35 < len(reading.frames) < 60


def test_a_playlist_cannot_make_the_machine_open_addresses(read: Fixture, tmp_path: Path) -> None:
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    failure(path, read)


def test_reading_bad_files_prints_nothing(make_video: Fixture, tmp_path: Path) -> None:
    path = make_video(tmp_path / "clip.mp4", 20)
    bad = [cut(path, 0.5, "bad.mp4"), cut(make_video(tmp_path / "f.mkv", 60), 0.5, "bad.mkv")]
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(500))
    script = (
        "import sys\n"
        "from hamba_core.errors import SourceError\n"
        "from stages.sources import source_for\n"
        "for name in sys.argv[1:]:\n"
        "    source = source_for(name)\n"
        "    try:\n"
        "        source.open()\n"
        "        list(source.frames())\n"
        "    except SourceError:\n"
        "        pass\n"
        "    source.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, bad), str(tmp_path / "bad.jpg")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
