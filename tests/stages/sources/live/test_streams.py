"""Streams of a camera in a process of its own, whose pictures show the time: their order, times and wholeness."""

import time
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from stages.packets import Frame
from stages.sources import SourceSettings, source_for
from stages.sources.live import network
from stages.sources.settings import LiveSettings
from tests.stages.sources.conftest import taken
from tests.stages.sources.live.cameras import time_code
from tests.stages.sources.live.cameras.harness import CameraServer


def frames_of(kind: str, count: int, **behaviour: Any) -> Iterator[Frame]:
    """So many frames of a camera."""
    with CameraServer(kind, **behaviour) as camera:
        source = source_for(camera.address, SourceSettings(live=LiveSettings(read_timeout=10)))
        try:
            source.open()
            yield from taken(source.frames(), count)
        finally:
            source.close()


@pytest.mark.parametrize(
    "kind", ["http", "http-mjpeg", pytest.param("http-h264", marks=pytest.mark.slow), "tcp-mjpeg", "tcp-h264"]
)
def test_a_stream_without_times_of_its_own_takes_as_long_as_it_took(kind: str) -> None:
    # FFmpeg says 25 a second of what comes at 12.
    frames = list(frames_of(kind, 36, rate=12.0, key_interval=6))[8:]
    shown = [time_code.read(frame.image) for frame in frames]
    wall = ((shown[-1] or 0) - (shown[0] or 0)) / 1000
    assert wall == pytest.approx(27 / 12, rel=0.3)
    assert frames[-1].meta.pts - frames[0].meta.pts == pytest.approx(wall, abs=0.2)
    assert {frame.meta.captured_by for frame in frames} == {"arrival"}


def test_pictures_that_are_coded_in_another_order_come_in_theirs() -> None:
    frames = list(frames_of("rtsp", 60, b_frames=3, reports=False))
    shown = [code for frame in frames if (code := time_code.read(frame.image)) is not None]
    assert len(shown) > 50
    assert all(later > earlier for earlier, later in pairwise(shown))


@pytest.mark.parametrize("joined", [True, False])
def test_key_frames_that_come_in_pieces_are_whole(joined: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not joined:  # without it, the pieces are taken for pictures: the test sees what it is there for
        monkeypatch.setattr(network, "whole_pictures", lambda packets, codec: packets)
    frames = list(frames_of("rtsp", 60, slices=3, key_interval=10))
    whole = sum(time_code.read(frame.image) is not None for frame in frames)
    assert whole == 60 if joined else whole < 30


def test_what_is_sent_while_nobody_asks_is_skipped_and_counted() -> None:
    with CameraServer("rtsp") as camera:
        source = source_for(camera.address)
        try:
            source.open()
            frames = source.frames()
            taken(frames, 5)
            time.sleep(3)
            (frame,) = taken(frames, 1)
            age = (time.monotonic_ns() // 1_000_000 & 0xFFFFFFFF) - (time_code.read(frame.image) or 0)
            assert age < 1500  # of 3000 ms; a key frame comes every second
            assert sum(source.skipped().values()) > 30
        finally:
            source.close()
