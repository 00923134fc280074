"""Where a picture ends is told by its own structure, also while its bytes are still coming."""

import re
from mmap import mmap
from typing import Final

from stages.sources.headers import HEAD_BYTES, still_kind
from stages.sources.pictures.tiff_ends import tiff_end

_PNM: Final = re.compile(rb"P([456])" + 2 * rb"(?:\s|#[^\n]*\n)+(\d+)" + rb"(?:(?:\s|#[^\n]*\n)+(\d+))?\s")
_PNM_BITMAP: Final = re.compile(rb"P4" + 2 * rb"(?:\s|#[^\n]*\n)+(\d+)" + rb"\s")
_PAM_NUMBER: Final = re.compile(rb"^(WIDTH|HEIGHT|DEPTH|MAXVAL)\s+(\d+)\s*$", re.MULTILINE)
_QOI_END: Final = 7 * b"\0" + b"\1"
"""No picture's code holds it (QOI's specification)."""
_JPEG_XL: Final = b"\xff\x0a"
_LIKENESS: Final = 8  # bytes of a bare JPEG XL: how large it is, and how its pixels are
_FIRST_BOXES: Final = frozenset((b"ftyp", b"jP  ", b"JXL "))
_PADDING: Final = 64  # bytes; so many of nothing may stand between two files in boxes
_READ_AT_ONCE: Final = 1 << 16  # bytes of a TIFF's directories
_READ_AGAIN: Final = 4  # times the data that is there, beyond those
_PNM_HEAD: Final = 1024
_NEVER: Final = 1 << 62


class PictureEnd:
    """It finds the end of the picture that begins data, which may grow from one call to the next."""

    def __init__(self, start: int = 0) -> None:
        """The picture begins at `start`."""
        self._start = start
        self._at = 0  # what lies before it was looked at
        self._in_scan = False
        self._told: int | None = None  # by a TIFF's directories
        self._read = 0  # bytes of them, again and again while they come
        self.kind: str | None = None
        """As `still_kind` has it; None while that is not known."""

    def find(self, data: mmap | bytes | bytearray) -> int | None:
        """Return where it ends, in `data`; None if that is not there yet, or not told by this kind of picture."""
        if self.kind is None:
            self.kind = still_kind(bytes(data[self._start : self._start + HEAD_BYTES]))
            self._at = self._start + {"JPEG": 2, "PNG": 8}.get(self.kind or "", 0)
        match self.kind:
            case "JPEG":
                return self._jpeg(data)
            case "PNG":
                return self._png(data)
            case "TIFF":
                return self._tiff(data)
            case "QOI":
                end = data.find(_QOI_END, max(self._start, self._at))
                if end < 0:
                    self._at = len(data) - len(_QOI_END) + 1
                    return None
                return end + len(_QOI_END)
            case "JPEG 2000" | "AVIF" | "HEIC" | "JPEG XL":
                return self._boxes(data)
            case None:
                return None
        end = self._start + _size_in_head(self.kind, bytes(data[self._start : self._start + _PNM_HEAD]))
        return end if end <= len(data) else None

    def _jpeg(self, data: mmap | bytes | bytearray) -> int | None:
        while not self._in_scan:
            at = self._at
            if at + 4 > len(data):
                return None
            if data[at] != 0xFF:  # damaged: the first end is taken
                break
            marker = data[at + 1]
            if marker == 0xD9:
                return at + 2
            if marker == 0xFF:  # padding
                self._at += 1
                continue
            self._at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            self._in_scan = marker == 0xDA
        self._in_scan = True
        # A coded picture holds no end marker.
        end = data.find(b"\xff\xd9", self._at)
        if end < 0:
            self._at = max(self._at, len(data) - 1)
            return None
        return end + 2

    def _png(self, data: mmap | bytes | bytearray) -> int | None:
        while self._at + 12 <= len(data):
            name = data[self._at + 4 : self._at + 8]
            following = self._at + 12 + int.from_bytes(data[self._at : self._at + 4], "big")
            if name == b"IEND":
                return following if following <= len(data) else None
            self._at = following
        return None

    def _tiff(self, data: mmap | bytes | bytearray) -> int | None:
        """Look at the directories again only where there is more to see, and seldom if there are many."""
        if self._told is None and len(data) >= self._at:
            found = tiff_end(data, self._start)
            self._read += found.read
            self._at = max(found.needed, (self._read - _READ_AT_ONCE) // _READ_AGAIN)
            self._told = found.end
        return self._told if self._told is not None and self._told <= len(data) else None

    def _boxes(self, data: mmap | bytes | bytearray) -> int | None:
        """Find where another begins: a file in boxes (ISO base media format) has no end, but one first box."""
        if data[self._start : self._start + 2] == _JPEG_XL:  # bare, it does not even tell its first box
            alike = data.find(data[self._start : self._start + _LIKENESS], self._start + _LIKENESS)
            return alike if alike >= 0 else None
        first = bytes(data[self._start + 4 : self._start + 8])
        while first in _FIRST_BOXES and self._at + 8 <= len(data):
            ahead = data[self._at : self._at + _PADDING]
            behind = ahead.find(first) - 4
            if self._at > self._start and behind >= 0 and not ahead[:behind].strip(b"\0"):
                return self._at
            size = int.from_bytes(ahead[:4], "big")
            if size == 1 and len(ahead) < 16:
                return None
            if size == 1:
                size = int.from_bytes(data[self._at + 8 : self._at + 16], "big")
            if size < 8:  # to the end of the data, or damaged
                return None
            self._at += size
        return None


def _size_in_head(kind: str, head: bytes) -> int:
    """Return how many bytes a picture of this kind says that it has."""
    if kind == "BMP":
        size = int.from_bytes(head[2:6], "little")
        return size if size > HEAD_BYTES else _NEVER
    if kind == "WebP":
        size = int.from_bytes(head[4:8], "little")
        return 8 + size + size % 2
    if kind == "PAM":
        return _pam_size(head)
    return _pnm_size(head) if kind == "PNM" else _NEVER


def _pam_size(head: bytes) -> int:
    text, end, _ = head.partition(b"ENDHDR\n")
    told = {name: int(number) for name, number in _PAM_NUMBER.findall(text)}
    if not end or not {b"WIDTH", b"HEIGHT", b"DEPTH", b"MAXVAL"} <= told.keys():
        return _NEVER
    samples = told[b"WIDTH"] * told[b"HEIGHT"] * told[b"DEPTH"]
    return len(text) + len(end) + samples * (1 if told[b"MAXVAL"] < 256 else 2)


def _pnm_size(head: bytes) -> int:
    match = (_PNM_BITMAP if head.startswith(b"P4") else _PNM).match(head)
    if match is None:
        return _NEVER
    if head.startswith(b"P4"):
        width, height = int(match.group(1)), int(match.group(2))
        return match.end() + (width + 7) // 8 * height
    if match.group(4) is None:
        return _NEVER
    samples = int(match.group(2)) * int(match.group(3)) * (3 if match.group(1) == b"6" else 1)
    return match.end() + samples * (1 if int(match.group(4)) < 256 else 2)
