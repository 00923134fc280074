"""Real video files with a known picture in them, and a way to read a source to its end."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from hamba_core.errors import HambaError
from stages.contract import Source
from stages.packets import Choice, Frame, Image, SourceInfo
from stages.sources import SourceSettings, source_for

QUADRANTS = ((220, 30, 30), (30, 200, 40), (30, 40, 220), (190, 190, 190))

MakePicture = Callable[..., Image]
MakeVideo = Callable[..., Path]


def taken(frames: Iterator[Frame | None], count: int) -> list[Frame]:
    """The first so many frames, passing over where there was nothing yet."""
    found: list[Frame] = []
    for frame in frames:
        if frame is not None:
            found.append(frame)
        if len(found) == count:
            break
    return found


@dataclass
class Reading:
    """What a source gave."""

    info: SourceInfo | None = None
    frames: list[Frame] = field(default_factory=list)
    error: HambaError | None = None
    choices: tuple[Choice, ...] = ()

    def choice(self, subject: str) -> Choice:
        return next(choice for choice in self.choices if choice.subject == subject)

    @property
    def times(self) -> list[float]:
        return [frame.meta.pts for frame in self.frames]


Read = Callable[..., Reading]


def quadrants_of(image: Image) -> list[tuple[int, ...]]:
    """Colours in the middle of the four quarters, row by row."""
    height, width = image.shape[:2]
    places = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [tuple(int(value) for value in image[y, x]) for y, x in places]


@pytest.fixture(scope="session")
def make_picture() -> MakePicture:
    """make_picture(width, height) -> red, green / blue, grey quarters."""

    def make(width: int = 96, height: int = 64, shift: int = 0) -> Image:
        picture = np.empty((height, width, 3), np.uint8)
        rows, columns = np.arange(height) >= height // 2, np.arange(width) >= width // 2
        picture[:] = np.array(QUADRANTS, np.uint8)[2 * rows[:, None] + columns[None]]
        if shift:  # something moves, so that frames differ
            picture[:4, shift % width : shift % width + 4] = 255
        return picture

    return make


@pytest.fixture(scope="session")
def make_video(make_picture: MakePicture) -> MakeVideo:
    """make_video(path, frames, ...) -> path of a file with the quarters of `make_picture`, encoded by FFmpeg."""

    def make(
        path: Path,
        frames: int = 10,
        *,
        size: tuple[int, int] = (96, 64),
        rate: int = 30,
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        options: dict[str, str] | None = None,
        container: dict[str, str] | None = None,
        format: str | None = None,
        stamps: Sequence[int] | None = None,
        picture: Callable[[int], Image] | None = None,
        setup: Callable[[Any], None] | None = None,
    ) -> Path:
        def write() -> None:
            default = {"crf": "12", "preset": "ultrafast"} if codec == "libx264" else {}
            with av.open(str(path), "w", format=format, options=container or {}) as output:
                stream: Any = output.add_stream(codec, rate=rate, options={**default, **(options or {})})
                stream.width, stream.height = size
                stream.pix_fmt = pixel_format
                stream.codec_context.thread_count = 1
                if stamps is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
                if setup is not None:
                    setup(stream)
                for index in range(frames):
                    image = picture(index) if picture else make_picture(*size, shift=4 + index)
                    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                    if stamps is not None:
                        frame.time_base = Fraction(1, 1000)
                    frame.pts = index if stamps is None else stamps[index]
                    output.mux(stream.encode(frame))
                output.mux(stream.encode(None))

        # In a thread of its own, which ends: run by root, libsvtav1 puts the thread that calls it into real time.
        with ThreadPoolExecutor(1) as encoder:
            encoder.submit(write).result()
        return path

    return make


@pytest.fixture(scope="session")
def read() -> Read:
    """read(name, **settings) or read(source) -> everything it gives, and the error it ended with."""

    def read(what: object, limit: int = 100_000, **settings: Any) -> Reading:
        reading = Reading()
        source: Source | None = None
        try:
            source = what if isinstance(what, Source) else source_for(str(what), SourceSettings(**settings))
            reading.info = source.open()
            for frame in source.frames():
                if frame is not None:
                    reading.frames.append(frame)
                if len(reading.frames) >= limit:
                    break
        except HambaError as error:
            reading.error = error
        finally:
            if source is not None:
                reading.choices = source.choices()
                source.close()
        return reading

    return read


@pytest.fixture(scope="session")
def quadrants() -> Callable[[Image], list[tuple[int, ...]]]:
    """quadrants(image) -> the four colours in it."""
    return quadrants_of


@pytest.fixture(scope="session")
def same_colours() -> Callable[..., bool]:
    """same_colours(found, expected, within) -> whether two lists of colours agree."""

    def same(found: Sequence[Sequence[int]], expected: Sequence[Sequence[int]], within: int = 8) -> bool:
        return bool(np.abs(np.array(found, int) - np.array(expected, int)).max() <= within)

    return same
