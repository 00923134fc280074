"""What the first bytes of a still picture say, read without decoding it: size, which way up, focal length.

The layouts are those of the JPEG (ITU T.81), PNG, WebP, BMP, GIF and TIFF 6.0 specifications and of EXIF 2.32.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from struct import unpack_from

from stages.sources.decoding import UPRIGHT, Orientation

SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".tif", ".tiff"),
        *(".gif", ".jp2", ".avif", ".heic", ".ppm", ".pgm", ".pnm", ".tga", ".qoi"),
    }
)
"""File names that end so are pictures of a folder."""

HEAD_BYTES = 64
"""So many bytes of a file tell its kind."""

_ORIENTATION, _EXIF_IFD, _FOCAL_35MM = 0x0112, 0x8769, 0xA405
_TIFF_WIDTH, _TIFF_HEIGHT = 0x0100, 0x0101
_SHORT, _LONG = 3, 4
_MAX_TAGS = 512  # an EXIF directory has dozens; a damaged one may claim 65535


@dataclass(frozen=True)
class StillHeader:
    """What is known of a still picture before it is decoded."""

    kind: str  # "JPEG", "PNG", ...
    width: int  # px as stored, before its orientation; 0 where the header was not understood
    height: int
    orientation: Orientation = UPRIGHT
    focal_35mm: float | None = None  # mm, of the lens that would see the same on 35 mm film
    complete: bool = True  # false where the end of the picture is missing


def still_kind(head: bytes) -> str | None:
    """The kind of still picture that begins with these `HEAD_BYTES` bytes; none if it is none."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"BM") and head[14:15] in (b"\x0c", b"\x28", b"\x34", b"\x38", b"\x40", b"\x6c", b"\x7c"):
        return "BMP"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:4] in (b"II*\0", b"MM\0*"):
        return "TIFF"
    if head[4:12] == b"jP  \r\n\x87\n":
        return "JPEG 2000"
    if head[4:12] in (b"ftypavif",):
        return "AVIF"
    if head[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc"):
        return "HEIC"
    if head[:2] in (b"P4", b"P5", b"P6") and head[2:3].isspace():
        return "PNM"
    if head[:4] == b"qoif":
        return "QOI"
    return None


def still_header(data: bytes) -> StillHeader | None:
    """What the bytes of a picture file say; none if they are not of a still picture. Never raises."""
    kind = still_kind(data[:HEAD_BYTES])
    if kind is None:
        return None
    reader = {"JPEG": _jpeg, "PNG": _png, "BMP": _bmp, "WebP": _webp, "TIFF": _tiff, "QOI": _qoi}.get(kind)
    if reader is None:
        return StillHeader(kind, 0, 0)
    try:
        return reader(data)
    except (struct.error, IndexError):
        return StillHeader(kind, 0, 0)


def gif_size(head: bytes) -> tuple[int, int] | None:
    """Width and height of a GIF, which is a video here; none if it is none."""
    if head[:6] not in (b"GIF87a", b"GIF89a") or len(head) < 10:
        return None
    width, height = unpack_from("<HH", head, 6)
    return width, height


def _with_exif(kind: str, width: int, height: int, exif: bytes, complete: bool = True) -> StillHeader:
    tags = _exif_tags(exif)
    focal = tags.get(_FOCAL_35MM, 0)
    return StillHeader(
        kind,
        width,
        height,
        Orientation.from_exif(tags.get(_ORIENTATION, 1)),
        float(focal) if 4 <= focal <= 1000 else None,
        complete,
    )


def _jpeg(data: bytes) -> StillHeader:
    width = height = 0
    exif = b""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            break
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        (length,) = unpack_from(">H", data, at + 2)
        body = at + 4
        if marker == 0xE1 and data[body : body + 6] == b"Exif\0\0":
            exif = data[body + 6 : at + 2 + length]
        # A start of frame; C4, C8 and CC lie among them and are tables.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = unpack_from(">HH", data, body + 1)
        if marker == 0xDA:
            break
        at += 2 + length
    # The coded picture cannot hold an end marker, but a thumbnail in its EXIF can: look behind the last start of scan.
    last_scan = data.rfind(b"\xff\xda")
    complete = last_scan >= 0 and data.find(b"\xff\xd9", last_scan) >= 0
    return _with_exif("JPEG", width, height, exif, complete)


def _png(data: bytes) -> StillHeader:
    width, height = unpack_from(">II", data, 16)
    exif = b""
    complete = False
    at = 8
    while at + 8 <= len(data):
        (length,) = unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind == b"eXIf":
            exif = data[at + 8 : at + 8 + length]
        if kind == b"IEND":
            complete = True
            break
        at += 12 + length
    return _with_exif("PNG", width, height, exif, complete)


def _webp(data: bytes) -> StillHeader:
    width = height = 0
    exif = b""
    at = 12
    while at + 8 <= len(data):
        kind = data[at : at + 4]
        (length,) = unpack_from("<I", data, at + 4)
        body = at + 8
        if kind == b"VP8X":
            width = 1 + int.from_bytes(data[body + 4 : body + 7], "little")
            height = 1 + int.from_bytes(data[body + 7 : body + 10], "little")
        elif kind == b"VP8 " and not width:
            raw_width, raw_height = unpack_from("<HH", data, body + 6)
            width, height = raw_width & 0x3FFF, raw_height & 0x3FFF
        elif kind == b"VP8L" and not width:
            (bits,) = unpack_from("<I", data, body + 1)
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif kind == b"EXIF":
            exif = data[body : body + length].removeprefix(b"Exif\0\0")
        at = body + length + length % 2
    return _with_exif("WebP", width, height, exif)


def _bmp(data: bytes) -> StillHeader:
    if data[14] == 12:
        width, height = unpack_from("<HH", data, 18)
    else:
        width, height = unpack_from("<ii", data, 18)
    return StillHeader("BMP", abs(width), abs(height))


def _tiff(data: bytes) -> StillHeader:
    tags = _exif_tags(data)
    return _with_exif("TIFF", tags.get(_TIFF_WIDTH, 0), tags.get(_TIFF_HEIGHT, 0), data)


def _qoi(data: bytes) -> StillHeader:
    width, height = unpack_from(">II", data, 4)
    return StillHeader("QOI", width, height)


def _exif_tags(data: bytes) -> dict[int, int]:
    """The whole-number tags of the first directory and of EXIF's own, from a TIFF header onwards."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None:
        return {}
    try:
        tags = dict(_directory(data, order, unpack_from(order + "I", data, 4)[0]))
        if _EXIF_IFD in tags:
            tags.update(_directory(data, order, tags[_EXIF_IFD]))
    except struct.error:
        return {}
    return tags


def _directory(data: bytes, order: str, at: int) -> Iterator[tuple[int, int]]:
    (count,) = unpack_from(order + "H", data, at)
    for entry in range(min(count, _MAX_TAGS)):
        tag, kind, length = unpack_from(order + "HHI", data, at + 2 + 12 * entry)
        if length == 1 and kind in (_SHORT, _LONG):
            yield tag, unpack_from(order + ("H" if kind == _SHORT else "I"), data, at + 10 + 12 * entry)[0]
