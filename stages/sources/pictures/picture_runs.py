"""A run is pictures one after another in a file, as `rpicam-vid --codec mjpeg` or `ffmpeg -f image2pipe` write them."""

import re
from collections.abc import Iterator
from mmap import mmap
from typing import Final

from stages.sources.headers import HEAD_BYTES, still_header, still_kind

_PADDING: Final = 64  # bytes of nothing that may stand between two pictures
_PNM: Final = re.compile(rb"P([456])" + 2 * rb"(?:\s|#[^\n]*\n)+(\d+)" + rb"(?:(?:\s|#[^\n]*\n)+(\d+))?\s")
_PNM_BITMAP: Final = re.compile(rb"P4" + 2 * rb"(?:\s|#[^\n]*\n)+(\d+)" + rb"\s")


def pictures_in(data: mmap | bytes) -> Iterator[tuple[int, int]]:
    """Yield where each picture begins and ends; all data are one if no other of its kind and size follows the first."""
    start, end = 0, _end_of(data, 0)
    following = _next_start(data, end)
    if following is None or not _is_run(data, end, following):
        yield 0, len(data)
        return
    while following is not None:
        yield start, end
        start, end = following, _end_of(data, following)
        following = _next_start(data, end)
    yield start, end


def is_run(data: mmap | bytes) -> bool:
    """Return whether there is more than one picture."""
    pieces = pictures_in(data)
    return next(pieces, None) is not None and next(pieces, None) is not None


def _is_run(data: mmap | bytes, end: int, following: int) -> bool:
    """Return whether the second is another frame, not the gain map or preview that phones put behind the first."""
    first, second = data[:end], data[following : _end_of(data, following)]
    if b"MPF\0" in first[: 64 * 1024]:  # CIPA's multi-picture format: one photograph, with what belongs to it
        return False
    one, two = still_header(first), still_header(second)
    return one is not None and two is not None and (one.width, one.height) == (two.width, two.height)


def _next_start(data: mmap | bytes, end: int) -> int | None:
    gap = data[end : end + _PADDING + HEAD_BYTES]
    for skipped in range(min(_PADDING, len(gap))):
        if still_kind(gap[skipped : skipped + HEAD_BYTES]) is not None:
            return end + skipped
        if gap[skipped] not in b"\0\r\n \xff":
            break
    return None


def _end_of(data: mmap | bytes, start: int) -> int:
    """Return where the picture that begins there ends: at the data's end if it does not tell."""
    kind, total = still_kind(data[start : start + HEAD_BYTES]), len(data)
    if kind == "JPEG":
        return _jpeg_end(data, start)
    if kind == "PNG":
        at = start + 8
        while at + 12 <= total:
            name = data[at + 4 : at + 8]
            at += 12 + int.from_bytes(data[at : at + 4], "big")
            if name == b"IEND":
                return min(at, total)
    elif kind == "BMP":
        size = int.from_bytes(data[start + 2 : start + 6], "little")
        return min(start + size, total) if size > HEAD_BYTES else total
    elif kind == "WebP":
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        return min(start + 8 + size + size % 2, total)
    elif kind == "PNM":
        return min(start + _pnm_size(data[start : start + 1024]), total)
    return total


def _jpeg_end(data: mmap | bytes, start: int) -> int:
    at = start + 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA:
            break
    # A coded picture holds no end marker.
    end = data.find(b"\xff\xd9", at)
    return len(data) if end < 0 else end + 2


def _pnm_size(head: bytes) -> int:
    match = (_PNM_BITMAP if head.startswith(b"P4") else _PNM).match(head)
    if match is None:
        return 1 << 62
    if head.startswith(b"P4"):
        width, height = int(match.group(1)), int(match.group(2))
        return match.end() + (width + 7) // 8 * height
    if match.group(4) is None:
        return 1 << 62
    samples = int(match.group(2)) * int(match.group(3)) * (3 if match.group(1) == b"6" else 1)
    return match.end() + samples * (1 if int(match.group(4)) < 256 else 2)
