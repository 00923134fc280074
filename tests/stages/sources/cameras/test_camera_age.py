"""How old a camera's pictures are: a pipe stands in for the device, and the time stands in its pictures."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from stages.packets import Frame
from stages.sources import source_for
from stages.sources.cameras import sessions, video4linux
from tests.stages.sources.cameras.kernel import Kernel, webcam
from tests.stages.sources.conftest import taken
from tests.stages.sources.live.cameras import time_code

pytestmark = pytest.mark.skipif("sys.platform != 'linux'", reason="devices are Linux's")

RATE = 30


class Device:
    """It gives JPEGs as a webcam's driver does: stamped on the monotonic clock, and none while nobody takes them."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._give)
        self._thread.start()

    def open(self, *_: object, **__: object) -> Any:
        return av.open(f"pipe:{self._reading}", format="nut", options={"probesize": "100000"})

    def _give(self) -> None:
        with (
            os.fdopen(self._writing, "wb", buffering=0) as pipe,
            suppress(OSError),
            av.open(pipe, "w", "nut") as output,
        ):
            stream: Any = output.add_stream("mjpeg", rate=RATE)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p"
            stream.codec_context.time_base = Fraction(1, 1_000_000)
            image = np.full((240, 320, 3), 90, np.uint8)
            while not self._stop.wait(1 / RATE):
                taken_ns = time.monotonic_ns()
                time_code.draw(image, taken_ns // 1_000_000)
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.time_base = Fraction(1, 1_000_000)
                frame.pts = taken_ns // 1000
                output.mux(stream.encode(frame))

    def close(self) -> None:
        self._stop.set()
        os.close(self._reading)
        self._thread.join()


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """A webcam as camera 0."""
    kernel = Kernel(tmp_path)
    kernel.plug(0, webcam("Webcam", "usb-1"))
    monkeypatch.setattr(video4linux, "KERNEL", kernel)
    device = Device()
    monkeypatch.setattr(sessions, "open_container", device.open)
    yield device
    device.close()


def ages(frame: Frame) -> tuple[float, float]:
    """The age of a frame, s, by the time in its picture and as it is said."""
    now_ns = time.monotonic_ns()
    shown = time_code.read(frame.image)
    assert shown is not None
    return ((now_ns // 1_000_000 & 0xFFFFFFFF) - shown) / 1000, (now_ns - frame.meta.captured_ns) / 1e9


def test_a_cameras_age_is_the_drivers_and_new_pictures_come_after_nobody_asked(device: Device) -> None:
    source = source_for("0")
    try:
        source.open()
        frames = source.frames()
        taken(frames, 10)
        for frame in taken(frames, 20):
            shown, said = ages(frame)
            assert frame.meta.captured_by == "driver"
            assert said == pytest.approx(shown, abs=0.01)
        time.sleep(3)
        taken(frames, 1)
        (frame,) = taken(frames, 1)
        assert ages(frame)[0] < 2 / RATE + 0.5
        assert sum(source.skipped().values()) > 30
    finally:
        source.close()
