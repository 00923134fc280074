"""The tables of an MPEG transport stream say which of its packets are video, and of which kind; they may change midway,
as where two recordings were joined or a broadcaster changes what is sent. FFmpeg then gives the packets of the new
video to the decoder of the old one, or leaves them out.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np

_SIZES: Final = ((188, 0), (192, 4), (204, 0))
"""Bytes from packet to packet, and before the sync byte of each."""
_SYNC: Final = 0x47
_VIDEO: Final = frozenset((0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0x42, 0xD1, 0xD2, 0xD4, 0xEA))
"""Types of streams that are video: MPEG-1, -2 and -4, H.264, H.265, H.266, AVS, Dirac, AVS2, AVS3, VC-1."""
_REGISTERED: Final = frozenset((b"HEVC", b"AV01", b"VVC ", b"drac", b"VC-1"))
"""What private streams call themselves that are video."""

Video = tuple[int, int, bytes]
"""Packet identifier, type and name."""


def transport_packets(head: bytes) -> tuple[int, int] | None:
    """Return how long the packets of a transport stream are that begins so, and what comes before their sync byte, in
    bytes; None if it is something else.
    """
    for size, before in _SIZES:
        for begin in range(min(size, len(head))):
            places = range(begin + before, len(head), size)
            if len(places) >= 4 and all(head[place] == _SYNC for place in places):
                return size, before
    return None


class TableWatch:
    """It says where a video that the tables told of is no longer in them.

    `identifier` is that of the packets that matter; where it is not given, all do. The span ends with the packet that
    says so, and the next begins with the list of programs before it.
    """

    def __init__(self, size: int, before: int, identifier: int | None = None) -> None:
        self.identifier = identifier
        self.gone: frozenset[int] = frozenset()
        """Identifiers of what is no longer there, where the span has ended."""
        self._size, self._before = size, before
        self._rest = b""  # of a packet
        self._sections: dict[int, bytes] = {}  # what is there of a table, by the packets' identifier
        self._seen: dict[tuple[int, int, int, int], bytes] = {}  # whole tables, as they last were
        self._lists: dict[int, dict[int, int]] = {}  # of programs: by number, identifiers of tables by program
        self._videos: dict[int, frozenset[Video]] = {}  # by program
        self._dropped: frozenset[Video] = frozenset()  # with their programs
        self._newest_list: int | None = None

    def anew(self, identifier: int) -> "TableWatch":
        """Return one for the same stream from its beginning, that watches for one video alone."""
        return TableWatch(self._size, self._before, identifier)

    def feed(self, data: bytes, at: int) -> tuple[int, int] | None:
        """Take the next bytes; return where the span ends and the next begins."""
        data, at = self._rest + data, at - len(self._rest)
        for place in self._tables(data):
            packet = data[place + self._before : place + self._before + 188]
            identifier = _identifier(packet)
            if identifier == 0:
                self._newest_list = at + place
            section = self._section(identifier, packet)
            if section and self._is_change(identifier, section):
                return at + place, at + place if self._newest_list is None else self._newest_list
        return None

    @property
    def _programs(self) -> dict[int, int]:
        return {program: table for programs in self._lists.values() for program, table in programs.items()}

    def _is_change(self, identifier: int, section: bytes) -> bool:
        if identifier == 0 and section[0] == 0:
            before = self._programs
            self._lists[section[6]] = {
                program: int.from_bytes(section[place + 2 : place + 4], "big") & 0x1FFF
                for place in range(8, len(section) - 7, 4)
                if (program := int.from_bytes(section[place : place + 2], "big"))
            }
            for program in before.keys() - self._programs.keys():
                self._dropped |= self._videos.pop(program, frozenset())
            return False  # what comes in its place is told by the table of a program
        if section[0] != 2:
            return False
        program = int.from_bytes(section[3:5], "big")
        gone = self._dropped | self._videos.get(program, frozenset())
        self._videos[program] = frozenset(_videos(section))
        gone -= frozenset[Video]().union(*self._videos.values())
        self._dropped = frozenset()
        self.gone = frozenset(video[0] for video in gone if self.identifier in (None, video[0]))
        return bool(self.gone)

    def _tables(self, data: bytes) -> Iterator[int]:
        """Yield the places of packets that carry tables; keep what is left of the last packet."""
        place, size, before = 0, self._size, self._before
        while (count := (len(data) - place) // size) > 0:
            rows = np.frombuffer(data, np.uint8, count * size, place).reshape(count, size)
            lost = np.flatnonzero(rows[:, before] != _SYNC)
            count = int(lost[0]) if len(lost) else count
            rows = rows[:count]
            identifiers = (rows[:, before + 1] & 0x1F).astype(np.uint16) << 8 | rows[:, before + 2]
            row, programs = -1, None
            while True:
                if programs != self._programs:
                    programs = self._programs
                    tables = np.isin(identifiers, [0, *programs.values()])
                rest = np.flatnonzero(tables[row + 1 :])
                if not len(rest):
                    break
                row += 1 + int(rest[0])
                yield place + row * size
            place += count * size
            if len(lost):
                place = self._next_sync(data, place)
        self._rest = data[place:]

    def _next_sync(self, data: bytes, place: int) -> int:
        """Return where the next packet begins after one that does not; the end where none does."""
        while (sync := data.find(_SYNC, place + self._before + 1)) >= 0:
            place = sync - self._before
            if place + self._size + self._before >= len(data) or data[sync + self._size] == _SYNC:
                return place
        return len(data)

    def _section(self, identifier: int, packet: bytes) -> bytes:
        """Take what a packet has of a table, and return the table if it is whole and not as it was."""
        begins, adaptation = packet[1] & 0x40, packet[3] >> 4 & 3
        at = 4 + (packet[4] + 1 if adaptation & 2 else 0)
        if not adaptation & 1 or at >= len(packet) or packet[1] & 0x80:
            return b""
        if begins:
            at += packet[at] + 1
            self._sections[identifier] = packet[at:]
        elif identifier in self._sections:
            self._sections[identifier] += packet[at:]
        section = self._sections.get(identifier, b"")
        length = 3 + (int.from_bytes(section[1:3], "big") & 0xFFF) if len(section) >= 3 else 0
        if not 12 <= length <= len(section):
            return b""
        section = section[:length]
        del self._sections[identifier]
        name = (identifier, section[0], int.from_bytes(section[3:5], "big"), section[6])
        is_now = section[5] & 1
        if not is_now or section == self._seen.get(name) or _checksum(section):
            return b""
        self._seen[name] = section
        return section


def _identifier(packet: bytes) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


def _videos(section: bytes) -> Iterator[Video]:
    """Yield the videos of a program's table."""
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while at + 5 <= len(section) - 4:
        kind, identifier = section[at], int.from_bytes(section[at + 1 : at + 3], "big") & 0x1FFF
        length = int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF
        name = _registered(section[at + 5 : at + 5 + length])
        if kind in _VIDEO or (kind == 6 and name in _REGISTERED):
            yield identifier, kind, name if kind == 6 else b""
        at += 5 + length


def _registered(descriptors: bytes) -> bytes:
    at = 0
    while at + 2 <= len(descriptors):
        if descriptors[at] == 5:
            return descriptors[at + 2 : at + 6]
        at += 2 + descriptors[at + 1]
    return b""


def _checksum(section: bytes) -> int:
    """Return 0 if the CRC at the end of a table is right (polynomial 0x04C11DB7, not reflected)."""
    register = 0xFFFFFFFF
    for byte in section:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register
