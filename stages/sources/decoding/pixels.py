"""The pixels of a decoded frame of FFmpeg's become an upright RGB picture."""

from collections.abc import Iterable
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.sidedata.sidedata import SideData, Type as SideDataType
from av.video.reformatter import Colorspace, VideoReformatter

from hamba_core.errors import SourceError
from stages.packets import Image
from stages.sources.decoding.decoding import reason_of
from stages.sources.decoding.orientation import Orientation
from stages.sources.decoding.wide_colour import ordinary

MIN_SIDE = 16
"""px; a hand cannot be recognised in less."""

_COLORSPACES = frozenset((0, 1, 2, 4, 5, 6, 7, 9))  # the values of AVColorSpace that the converter knows
_UNSPECIFIED = 2
_RANGES = frozenset((0, 1, 2))
_CRASHING_FORMATS = ("bayer_", "yaf")  # FFmpeg's converter aborts the process on some of these
_MAX_STRETCH = 4
_LARGEST_BLOCK = 31 * 2**20  # bytes; just below the most that glibc learns from; never touched


class PixelConverter:
    """It converts the frames of one stream, and keeps FFmpeg's converter between frames, which halves the time."""

    def __init__(self, max_side: int) -> None:
        self._max_side = max_side
        # glibc gives freed memory back to the system above a threshold that grows with the largest block ever freed.
        # Getting it again costs a page fault for every 4 KiB of every frame: a tenth of the time and more.
        np.empty(_LARGEST_BLOCK, np.uint8)
        self._reformatter = VideoReformatter()
        self._turned: tuple[int, Orientation] | None = None

    def picture(
        self, frame: av.VideoFrame, pixel_aspect: Fraction | None = None, orientation: Orientation | None = None
    ) -> Image:
        """Return the upright picture with square pixels, (height, width, 3) RGB.

        Colours follow the frame's matrix and range; if it names no matrix, it is BT.709 from 720 lines on and BT.601
        below, as in players. HDR and BT.2020 become ordinary RGB. Transparent parts are black. `orientation` is taken
        from the frame if none is given. Raises SourceError.
        """
        self.check_size(frame.width, frame.height)
        _check_format(frame)
        width = height = None
        if pixel_aspect and pixel_aspect != 1 and Fraction(1, _MAX_STRETCH) <= pixel_aspect <= _MAX_STRETCH:
            # The shorter side is stretched, so that no line is lost.
            if pixel_aspect > 1:
                width = min(round(frame.width * pixel_aspect), self._max_side)
            else:
                height = min(round(frame.height / pixel_aspect), self._max_side)
        image = self._rgb(frame, width, height)
        image = ordinary(image, frame.color_trc, frame.color_primaries)
        return np.ascontiguousarray((orientation or self._orientation(frame)).apply(image))

    def picture_or_reason(self, frame: av.VideoFrame, pixel_aspect: Fraction | None = None) -> Image:
        """Return `picture`; what FFmpeg raises comes as a SourceError."""
        try:
            return self.picture(frame, pixel_aspect)
        except (av.FFmpegError, OSError) as error:
            raise SourceError(f"a picture that cannot be made RGB: {reason_of(error)}") from error

    def check_size(self, width: int, height: int) -> None:
        """Raise SourceError for pictures that are too small to show a hand, or unreasonably large."""
        if min(width, height) < MIN_SIDE:
            raise SourceError(
                f"expected pictures of at least {MIN_SIDE}x{MIN_SIDE} pixels, found {width}x{height}: "
                "too small to show a hand"
            )
        if max(width, height) > self._max_side:
            raise SourceError(
                f"expected pictures of at most {self._max_side} pixels a side, found {width}x{height}; "
                "scale them down, or raise the limit: --set source.decoding.max_side=N"
            )

    def _orientation(self, frame: av.VideoFrame) -> Orientation:
        if self._turned is None or self._turned[0] != frame.rotation:
            self._turned = frame.rotation, orientation_of(frame)
        return self._turned[1]

    def _rgb(self, frame: av.VideoFrame, width: int | None, height: int | None) -> Image:
        if frame.colorspace not in _COLORSPACES:
            frame.colorspace = _UNSPECIFIED
        if frame.color_range not in _RANGES:
            frame.color_range = 0
        source = None
        if (
            frame.colorspace == _UNSPECIFIED
            and not frame.format.is_rgb
            and (frame.height >= 720 or frame.width >= 1280)
        ):
            source = Colorspace.ITU709
        alpha = any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8"
        try:
            # One thread: waking others for a picture costs more than it saves.
            array = self._reformatter.reformat(
                frame, width, height, format="rgba" if alpha else "rgb24", src_colorspace=source, threads=1
            ).to_ndarray()
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(
                f"expected a pixel format that FFmpeg converts to RGB, found {frame.format.name}; re-encode the file"
            ) from error
        image = np.asarray(array, np.uint8)
        if not alpha:
            return image
        opacity = image[..., 3:]
        if opacity.min() == 255:
            return image[..., :3]
        return ((image[..., :3].astype(np.uint16) * opacity + 127) // 255).astype(np.uint8)


def _check_format(frame: av.VideoFrame) -> None:
    name = frame.format.name
    if name.startswith(_CRASHING_FORMATS):
        raise SourceError(f"expected a picture, found raw data of a sensor ({name}); convert it to PNG or JPEG")


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Return which way up a frame is by its display matrix, as phones write it. Raises SourceError as `picture`."""
    _check_format(frame)
    try:
        # A frame whose side data were looked at is not freed before the garbage collector comes by: that may be a
        # hundred connections later, so it is a tiny one with the same data. PyAV's stubs call them a mapping by name;
        # iterating gives the data themselves.
        side_data = cast("Iterable[SideData]", frame.reformat(MIN_SIDE, MIN_SIDE, "rgb24").side_data)
        matrix = next((bytes(data) for data in side_data if data.type is SideDataType.DISPLAYMATRIX), None)
    except ValueError:
        # PyAV lists no side data if there is a kind among it that it does not know; but it still tells the angle.
        turns = round(frame.rotation / 90) % 4
        return (Orientation(), _LEFT, _DOWN, _RIGHT)[turns]
    return Orientation.from_display_matrix(matrix) if matrix is not None else Orientation()


_LEFT, _DOWN, _RIGHT = Orientation.from_exif(8), Orientation.from_exif(3), Orientation.from_exif(6)
