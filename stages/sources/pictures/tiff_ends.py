"""A TIFF has no end of its own: it ends behind the last of what its directories point to (TIFF 6.0, BigTIFF)."""

from collections.abc import Iterator
from mmap import mmap
from typing import Final, Literal, NamedTuple

import numpy as np

_SIZES: Final = {
    **dict.fromkeys((1, 2, 6, 7), 1), **dict.fromkeys((3, 8), 2), **dict.fromkeys((4, 9, 11, 13), 4),
    **dict.fromkeys((5, 10, 12, 16, 17, 18), 8),
}  # fmt: skip
"""Bytes of a value of each type."""
_PLACES: Final = {273: 279, 324: 325, 513: 514}
"""Tags that tell where strips, tiles and a thumbnail begin, and those that tell their bytes."""
_DIRECTORIES: Final = frozenset((330, 34665, 34853, 40965))
"""Tags that tell where further directories are: of smaller copies, EXIF, GPS, interoperability."""
_MOST_DIRECTORIES: Final = 10_000


_NEVER: Final = 1 << 62


class _UntoldError(Exception):
    """The data does not tell where the TIFF ends, at least before so many bytes of data are there."""

    def __init__(self, needed: int = _NEVER) -> None:
        self.needed = needed


class TiffEnd(NamedTuple):
    """Where a TIFF ends; None where the data does not tell."""

    end: int | None
    needed: int  # bytes of data that have to be there for more to be seen
    read: int  # bytes that were read for it


def tiff_end(data: mmap | bytes | bytearray, start: int = 0) -> TiffEnd:
    """Return where the TIFF that begins at `start` ends, which may be behind the data that is there."""
    reader = _Reader(data, start)
    try:
        end = start + reader.end()
    except _UntoldError as untold:
        return TiffEnd(None, untold.needed, reader.read)
    return TiffEnd(end, end, reader.read)


class _Reader:
    """It reads the numbers of a TIFF; places count from the TIFF's start."""

    def __init__(self, data: mmap | bytes | bytearray, start: int) -> None:
        self._data, self._start, self.read = data, start, 0
        self._order: Literal["little", "big"] = "little" if data[start : start + 2] == b"II" else "big"
        self._big = data[start + 2 : start + 4] in (b"+\0", b"\0+")  # 43
        self._left = len(data)  # bytes of lists that are read at most: they may all be the same one

    def end(self) -> int:
        """Return the largest place that is pointed to. Raises _UntoldError."""
        waiting = [self._number(8, 8) if self._big else self._number(4, 4)]
        seen, end = {0}, 8
        while waiting:
            at = waiting.pop()
            if at in seen:
                continue
            seen.add(at)
            if len(seen) > _MOST_DIRECTORIES:
                raise _UntoldError
            behind, further = self._directory(at)
            end = max(end, behind)
            waiting += further
        return end

    def _directory(self, at: int) -> tuple[int, list[int]]:
        """Return the largest place that a directory points to, and which directories it leads to."""
        count_size, entry_size, size = (8, 20, 8) if self._big else (2, 12, 4)
        count = self._number(at, count_size)
        next_at = at + count_size + entry_size * count
        further, end = [self._number(next_at, size)], next_at + size
        places: dict[int, list[int]] = {}
        for number in range(count):
            tag, behind, values = self._entry(at + count_size + entry_size * number, size)
            end = max(end, behind)
            if tag in _DIRECTORIES:
                further += values
            elif values:
                places[tag] = values
        for starts, sizes in _PLACES.items():
            if starts in places and sizes not in places:
                raise _UntoldError
            spans = zip(places.get(starts, ()), places.get(sizes, ()), strict=False)
            end = max([end, *(one + length for one, length in spans)])
        return end, further

    def _entry(self, at: int, size: int) -> tuple[int, int, list[int]]:
        """Return an entry's tag, where its values end, and those of them that tell places."""
        tag, kind, count = self._number(at, 2), self._number(at + 2, 2), self._number(at + 4, size)
        width = _SIZES.get(kind, 1)
        inside = width * count <= size
        place = at + 4 + size if inside else self._number(at + 4 + size, size)
        end = at + 4 + 2 * size if inside else place + width * count
        known = tag in _DIRECTORIES or tag in _PLACES or tag in _PLACES.values()
        return tag, end, list(self._list(place, width, count)) if known else []

    def _list(self, at: int, width: int, count: int) -> Iterator[int]:
        content = self._bytes(at, width * count)
        self._left -= len(content)
        if self._left < 0:
            raise _UntoldError
        yield from np.frombuffer(content, f"{'<' if self._order == 'little' else '>'}u{width}").tolist()

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._bytes(at, size), self._order)

    def _bytes(self, at: int, size: int) -> bytes:
        at += self._start
        if at + size > len(self._data):
            raise _UntoldError(at + size)
        self.read += size
        return bytes(self._data[at : at + size])
