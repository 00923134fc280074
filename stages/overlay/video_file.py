"""An MP4 video that plays at any moment, also when its writer is killed.

While it is written it is a row of fragments, each playable; closing makes an ordinary MP4 of it. Frames keep their own
times, so a stream of varying rate plays as it came.
"""

import struct
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Final, cast

import av
import cv2
import numpy as np

from hamba_core.errors import DependencyError, OutputError
from stages.common.files import output_error
from stages.packets import Choice, Image

ENCODERS: Final[dict[str, dict[str, str]]] = {
    # No frames that refer to later ones: they would put off the times in a file that was cut.
    "libx264": {"preset": "veryfast", "crf": "19", "bf": "0"},
    "libopenh264": {},
    "mpeg4": {"b": "6000000"},
}
"""Encoders in order of preference, with their options."""

_TIME_BASE: Final = Fraction(1, 60_000)  # MPEG-4 allows no finer one than 1 / 65535
# How colours are coded, in the numbers of ITU-T H.273. The matrix is the one that OpenCV converts with.
_MATRIX_BT601: Final = 6
_BT709: Final = 1
_LIMITED_RANGE: Final = 1


def choose_encoder() -> Choice:
    """Return the best encoder there is. Raises DependencyError where there is none."""
    wished = next(iter(ENCODERS))
    for name in ENCODERS:
        try:
            av.codec.Codec(name, "w")
        except av.codec.codec.UnknownCodecError:
            continue
        reason = "small files that play everywhere" if name == wished else f"this build of PyAV has no {wished}"
        return Choice("overlay encoder", name, reason, fallback=name != wished)
    raise DependencyError(
        f"overlay: expected PyAV with one of the encoders {', '.join(ENCODERS)}, found none; "
        "install PyAV from its wheels (pip install --force-reinstall av), or leave the overlay out (--no-overlay)"
    )


class VideoFile:
    """A video of pictures of one size, even in both directions. Raises OutputError where the disk refuses."""

    def __init__(self, path: Path, encoder: str, size: tuple[int, int], rate: float | None) -> None:
        self._path = path
        self.size = size
        """Width and height, px."""
        self._first_pts: float | None = None
        self._last_ticks = -1
        self._failed = False
        shown_rate = max(Fraction(rate or 30).limit_denominator(1001), Fraction(1, 1000))
        options = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
        self._container = av.open(str(path), "w", format="mp4", options=options)
        stream = self._container.add_stream(encoder, rate=shown_rate, options=ENCODERS[encoder])
        self._stream = cast(av.VideoStream, stream)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.time_base = self._stream.codec_context.time_base = _TIME_BASE
        self._stream.codec_context.gop_size = max(1, round(shown_rate))
        context = self._stream.codec_context
        context.colorspace, context.color_range = _MATRIX_BT601, _LIMITED_RANGE
        context.color_primaries = context.color_trc = _BT709

    def write(self, picture: Image, pts: float) -> None:
        """Write a picture (height, width, 3) RGB and its time, s. Times start with the first one and always grow."""
        if self._first_pts is None:
            self._first_pts = pts
        ticks = max(self._last_ticks + 1, round((pts - self._first_pts) / _TIME_BASE))
        self._last_ticks = ticks
        # OpenCV converts in an eighth of the time that swscale takes.
        planes = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420), np.uint8)
        frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
        frame.pts, frame.time_base = ticks, _TIME_BASE
        self._do(lambda: self._container.mux(self._stream.encode(frame)))

    def close(self) -> None:
        """Write what is in the encoder and make the file an ordinary MP4."""
        if self._failed:
            return
        self._do(lambda: self._container.mux(self._stream.encode(None)))
        self._do(self._container.close)

    def _do(self, work: Callable[[], object]) -> None:
        if self._failed:
            raise OutputError(
                f"{self._path}: expected to be able to write, found that it failed before; what came is kept"
            )
        try:
            work()
        except (OSError, av.error.FFmpegError) as error:
            self._failed = True
            with suppress(OSError, av.error.FFmpegError):
                self._container.close()  # after an error FFmpeg writes nothing more
            with suppress(OSError):
                _keep_whole_fragments(self._path)
            if isinstance(error, OSError):
                raise output_error(self._path, error) from error
            raise OutputError(
                f"{self._path}: expected the encoder {self._stream.codec_context.name} to take a picture of "
                f"{self.size[0]}x{self.size[1]}, found: {error}; leave the overlay out (--no-overlay)"
            ) from error


def _keep_whole_fragments(path: Path) -> None:
    """Cut off a fragment that was written in part: an MP4 file is a row of boxes, each with its size in front."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        end = at = 0
        while at + 8 <= size:
            file.seek(at)
            length, kind = struct.unpack(">I4s", file.read(8))
            at += length
            if length < 8 or at > size:
                break
            if kind != b"moof":  # which is nothing without the data after it
                end = at
        file.truncate(end)
