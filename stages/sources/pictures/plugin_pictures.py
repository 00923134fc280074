"""HEIC and JPEG XL are read by plugins of Pillow's, which are installed where they are wanted.

Pixels are as the file says that they are shown: libheif and libjxl turn them, so that an orientation in EXIF counts
only in a JPEG XL that holds a JPEG as it was.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np

from hamba_core.errors import SourceError
from stages.packets import Image
from stages.sources.decoding import Orientation, PixelConverter
from stages.sources.headers import StillHeader, focal_and_orientation
from stages.sources.pictures.pillow_pages import rgb_of

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

logger = logging.getLogger(__name__)

PLUGINS: Final = {"HEIC": "pillow-heif", "JPEG XL": "pillow-jxl-plugin"}
"""The package that reads each kind."""


def plugin_picture(header: StillHeader, data: bytes, pixels: PixelConverter) -> tuple[Image, StillHeader]:
    """Return the picture, upright RGB, and its header with what the plugin found.

    Raises SourceError if the plugin is not installed, with the command that installs it, or cannot read the picture.
    """
    kind = header.kind
    if kind == "JPEG XL":  # its plugin decodes on opening
        size = jpeg_xl_size(data)
        if size is None:
            raise SourceError("expected a whole JPEG XL picture, found one that does not say its size")
        pixels.check_size(*size)
    try:
        image = _opened(kind, data)
    except ImportError as error:
        raise SourceError(
            f"expected a picture that FFmpeg decodes, found {kind}, which {PLUGINS[kind]} reads: "
            "pip install 'hamba-stream[pictures]', or convert it to JPEG or PNG"
        ) from error
    except Exception as error:
        raise SourceError(f"expected a whole {kind} picture, found: {error}") from error
    pixels.check_size(*image.size)
    if (count := int(getattr(image, "n_frames", 1))) > 1:
        logger.warning("a %s with %d pictures, of which the main one is read; save each by itself", kind, count)
    try:
        image.load()
        orientation, focal = focal_and_orientation(image)
        shown = rgb_of(image)
    except Exception as error:
        raise SourceError(f"expected a whole {kind} picture, found: {error}") from error
    if kind == "JPEG XL" and getattr(image, "jpeg", False):
        shown = np.ascontiguousarray(orientation.apply(shown))
    if kind == "JPEG XL" and is_animated(data):
        logger.warning("a JPEG XL with several pictures, of which the first is read; make a video or an APNG of it")
    told = replace(
        header, width=image.size[0], height=image.size[1], orientation=Orientation(), focal_35mm=focal,
        reader=f"Pillow with {PLUGINS[kind]}",
    )  # fmt: skip
    return shown, told


def _opened(kind: str, data: bytes) -> "ImageFile":
    if kind == "HEIC":
        from pillow_heif import HeifImageFile

        return HeifImageFile(BytesIO(data))  # type: ignore[no-untyped-call]
    from pillow_jxl.JpegXLImagePlugin import JXLImageFile

    return JXLImageFile(BytesIO(data))


def jpeg_xl_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height of a JPEG XL, ISO/IEC 18181-1, D.2, before it is turned; None if it does not say."""
    with suppress(IndexError):
        bits = _Bits(_codestream(data))
        return _size(bits)
    return None


def is_animated(data: bytes) -> bool:
    """Return whether a JPEG XL says that it has several pictures, ISO/IEC 18181-1, D.3."""
    with suppress(IndexError):
        bits = _Bits(_codestream(data))
        _size(bits)
        if bits.take(1) or not bits.take(1):  # all as usual; no extra fields
            return False
        bits.take(3)  # orientation
        if bits.take(1):
            _size(bits)
        return not bits.take(1) and bool(bits.take(1))  # behind a preview it is not looked for
    return False


class _Bits:
    """Bits of data, each byte from its lowest one on. Raises IndexError at their end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        value = 0
        for place in range(count):
            value |= (self._data[self._at // 8] >> self._at % 8 & 1) << place
            self._at += 1
        return value


_RATIOS: Final = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def length() -> int:
        return 8 * (bits.take(5) + 1) if small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1

    height = length()
    ratio = bits.take(3)
    if ratio == 0:
        return length(), height
    wide, high = _RATIOS[ratio]
    return height * wide // high, height


def _codestream(data: bytes) -> bytes:
    """Return the coded picture's first bytes, without their signature: bare, or in a box of ISO's base media format."""
    if data.startswith(b"\xff\x0a"):
        return data[2:64]
    parts = b""
    for name, start, end in _boxes(data):
        if name == b"jxlc":
            return data[start + 2 : min(start + 64, end)]
        if name == b"jxlp":
            parts += data[start + 4 : min(start + 68, end)]  # behind its number
            if len(parts) >= 64:
                break
    return parts[2:]


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield each box's name, and where its content begins and ends."""
    at = 0
    while at + 8 <= len(data):
        size, name, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if size == 0:
            size = len(data) - at
        if size < head:
            return
        yield name, at + head, min(at + size, len(data))
        at += size
