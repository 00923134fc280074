"""A file may be several videos, of which each was put behind the one before: recordings that were joined by copying
their bytes, or by a program that began anew. FFmpeg reads the first alone, or takes what follows for a part of it.

This module finds where the next begins, by the boxes, elements and pages of MP4, Matroska and Ogg, and else by what the
file itself begins with; and it gives FFmpeg a span of a file to read.
"""

import os
from pathlib import Path
from typing import Final, Protocol

_FLV: Final = b"FLV\x01"
_MARKS: Final = (
    _FLV,
    bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"),  # ASF: WMV
    b"YUV4MPEG2 ",
)
"""How files begin of which another is looked for only behind the last picture of the one before."""
_LIKENESS: Final = 16  # bytes: what it is and how large it is
_BLOCK: Final = 1 << 20  # bytes
_IVF: Final = b"DKIF\0\0"
_EBML, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
_FLV_TAGS: Final = frozenset((8, 9, 18))
_FLV_HEADER: Final = _FLV + b"\x05\0\0\0\x09\0\0\0\0"


class Watch(Protocol):
    """It is given the bytes of a span in order, and says where what it watches for is."""

    def feed(self, data: bytes, at: int) -> tuple[int, int] | None:
        """Take the bytes that begin at `at` in the file; return where the span ends and where the next begins."""


class Span:
    """The bytes of a file from `begin` to before `end`, to be read as a file; with `prefix` before them."""

    def __init__(
        self, path: Path, begin: int = 0, end: int | None = None, *, prefix: bytes = b"", watch: Watch | None = None
    ) -> None:
        self.name = str(path)
        self._file = path.open("rb", buffering=0)
        self._size = os.fstat(self._file.fileno()).st_size
        self.begin = begin
        self.end = self._size if end is None else min(end, self._size)
        """Bytes from the beginning of the file; it moves forward where the watch says so."""
        self.next: int | None = end
        """Where the next video begins, bytes; none where none is known of."""
        self._prefix = prefix
        self._watch, self._watched = watch, begin
        self._at = 0  # from the beginning of the span

    def read(self, size: int, /) -> bytes:
        """Return at most so many bytes, none at the end."""
        if self._at < len(self._prefix):
            data = self._prefix[self._at : self._at + size]
            self._at += len(data)
            return data
        place = self.begin + self._at - len(self._prefix)
        data = os.pread(self._file.fileno(), max(0, min(size, self.end - place)), place)
        if self._watch is not None and place <= self._watched < place + len(data):
            found = self._watch.feed(data[self._watched - place :], self._watched)
            self._watched = place + len(data)
            if found is not None:
                self._watch = None
                self.end, self.next = found
                data = data[: max(0, self.end - place)]
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, and return it."""
        length = self.end - self.begin + len(self._prefix)
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: length}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """Return the place, from the beginning of the span."""
        return self._at

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def next_video(path: Path, begin: int = 0) -> int | None:
    """Return where in a file the next video begins behind the one at `begin`, bytes, as far as its structure tells.

    None where there is none, or where its kind has no structure that tells.
    """
    with path.open("rb", buffering=0) as file:
        head = os.pread(file.fileno(), 16, begin)
        if head[4:8] == b"ftyp":
            return _next_mp4(file.fileno(), begin)
        if head[:4] == _EBML.to_bytes(4, "big"):
            return _next_matroska(file.fileno(), begin)
        if head[:4] == b"OggS":
            return _next_ogg(file.fileno(), begin)
        if head.startswith(_IVF):
            return _next_ivf(file.fileno(), begin)
    return None


def next_alike(path: Path, begin: int) -> int | None:
    """Return where something begins behind `begin` with the same bytes: another picture of the same kind and size."""
    with path.open("rb", buffering=0) as file:
        mark = os.pread(file.fileno(), _LIKENESS, begin)
        return _find(file.fileno(), mark, begin + 1) if len(mark) == _LIKENESS else None


def next_behind(path: Path, begin: int, reached: int) -> tuple[int, bytes] | None:
    """Return where the next video begins from `reached` on, where the last packet is of the one at `begin`, and what
    has to be put before it; None where there is none.

    It is for the kinds whose structure `next_video` does not know. A FLV may also change what its video is without
    beginning anew.
    """
    with path.open("rb", buffering=0) as file:
        number = file.fileno()
        head = os.pread(number, 16, begin)
        if head[:4] == b"\0\0\x01\xba":  # an MPEG program stream has no header of its own
            found = _find(number, head[:4], reached)
            return None if found is None else (found, b"")
        mark = next((mark for mark in _MARKS if head.startswith(mark)), None)
        if mark is None:
            return None
        found = _find(number, mark, max(reached, begin + 1))
        if found is None and mark == _FLV:
            found = _flv_video(number, reached)
            return None if found is None else (found, _FLV_HEADER)
        return None if found is None else (found, b"")


def _find(number: int, mark: bytes, at: int) -> int | None:
    kept = b""
    while data := os.pread(number, _BLOCK, at):
        found = (kept + data).find(mark)
        if found >= 0:
            return at - len(kept) + found
        at += len(data)
        kept = (kept + data)[-len(mark) + 1 :]
    return None


def _next_mp4(number: int, begin: int) -> int | None:
    """Return the place of the next `ftyp` box; of a file in fragments, only where its description then changes too.

    Such a file may repeat its beginning, so that one can join it at any time.
    """
    at, fragments, described = begin, False, b""
    candidate: int | None = None
    while True:
        head = os.pread(number, 16, at)
        kind, size = head[4:8], int.from_bytes(head[:4], "big")
        if size == 1:
            size = int.from_bytes(head[8:16], "big")
        if len(head) < 8 or size < 8 or not (kind.isalnum() or kind.isascii()):
            return None
        if kind == b"moof":
            fragments, candidate = True, None
        if kind == b"ftyp" and at > begin:
            if not fragments:
                return at
            candidate = at
        if kind == b"moov":
            found = os.pread(number, min(size, _BLOCK), at)
            if candidate is not None and described and found != described:
                return candidate
            described = described or found
        at += size


def _next_matroska(number: int, begin: int) -> int | None:
    """Return the place of the next EBML header; elements whose size is not known are gone through."""
    at = begin
    while True:
        head = os.pread(number, 12, at)
        if not head:
            return None
        length = 9 - head[0].bit_length()
        if length > 4 or len(head) <= length:
            return None
        name = int.from_bytes(head[:length], "big")
        if name == _EBML and at > begin:
            return at
        bits = 9 - head[length].bit_length()
        field = head[length : length + bits]
        if bits > 8 or len(field) < bits:
            return None
        size = int.from_bytes(field, "big") & ((1 << 7 * bits) - 1)
        unknown = size == (1 << 7 * bits) - 1
        if unknown and name not in (_SEGMENT, _CLUSTER):
            return None
        at += length + bits + (0 if unknown else size)


def _next_ogg(number: int, begin: int) -> int | None:
    """Return the place of the next page that begins a stream after pages that do not."""
    at, begun = begin, False
    while True:
        head = os.pread(number, 27 + 255, at)
        if len(head) < 27 or head[:4] != b"OggS":
            return None
        begins = bool(head[5] & 2)
        if begins and begun:
            return at
        begun = begun or not begins
        at += 27 + head[26] + sum(head[27 : 27 + head[26]])


def _next_ivf(number: int, begin: int) -> int | None:
    at = begin + int.from_bytes(os.pread(number, 2, begin + 6), "little")
    while len(head := os.pread(number, 12, at)) == 12:
        if head.startswith(_IVF):
            return at
        at += 12 + int.from_bytes(head[:4], "little")
    return None


def _flv_video(number: int, at: int) -> int | None:
    """Return the place of the first tag of video that is of another codec than the one at `at`; None if there is none.

    One that changes its codec without beginning anew tells it there, and FFmpeg leaves those pictures out.
    """
    known = b""
    while len(head := os.pread(number, 16, at)) == 16 and head[0] in _FLV_TAGS:
        if head[0] == 9:
            codec = head[12:16] if head[11] & 0x80 else bytes([head[11] & 0x0F])
            known = known or codec
            if codec != known:
                return at
        at += 11 + int.from_bytes(head[1:4], "big") + 4
    return None
