"""The packet buffer stands between the reader, which never waits, and the decoder, which may be slow.

It holds what has come and is not decoded yet, in bounded memory. A decoder that has fallen behind is given the newest
packet at which it can begin (a key frame), and those before it are skipped and counted.
"""

import time
from collections import Counter, deque
from dataclasses import dataclass
from threading import Condition

from stages.sources.live.capture_clock import ARRIVAL, captured
from stages.sources.live.packet import Packet
from stages.sources.live.rhythm import Rhythm
from stages.sources.live.session import Session

BEHIND = "behind: skipped to a key frame"
OVERFLOW = "behind: no room"

LATE = 0.1
"""Seconds behind the newest packet from which on a decoder hurries."""
_MOST_BYTES = 64 << 20
_MOST_PACKETS = 4096
_BLOCKING_PACKETS = 8  # of a stream of which nothing may be skipped
_SILENCE = 0.5  # s
_SETTLING = 0.3
"""The most seconds to wait until a connection has given what waited in it."""
_QUIET = 0.012
"""The least seconds without a packet that show it; where packets come seldom, it is most of the time between two."""
_AT_ONCE = 4
"""More packets than this that wait, of a stream without times of its own, show that they were held up somewhere."""


@dataclass(frozen=True, eq=False)
class Item:
    """A packet and the session that decodes it."""

    session: Session
    packet: Packet


@dataclass(frozen=True, eq=False)
class End:
    """It stands after the last packet: the stream ended, or `error` ended it."""

    session: Session | None
    error: BaseException | None = None


class PacketBuffer:
    """Packets between two threads. `max_age` is how far behind, s, the decoder of a live stream may be."""

    def __init__(self, max_age: float) -> None:
        self._max_age = max_age
        self._queue: deque[Item | End] = deque()
        self._bytes = 0
        self._changed = Condition()
        self._closed = False
        self._wants_key = False
        self._settled: Session | None = None
        self._taken = 0.0  # when the newest packet was taken
        self._rhythm = Rhythm()
        self.skipped: Counter[str] = Counter()
        """Packets that were never decoded, by cause."""

    def put(self, session: Session, packet: Packet) -> None:
        """Add a packet. It waits only for a stream of which nothing may be skipped."""
        with self._changed:
            if not session.newest_only:
                self._changed.wait_for(lambda: self._closed or len(self._queue) < _BLOCKING_PACKETS)
            elif self._bytes + packet.size > _MOST_BYTES or len(self._queue) >= _MOST_PACKETS:
                self._drop(self._newest_key() or len(self._queue), OVERFLOW)
                self._wants_key = not self._queue
            if self._closed:
                return
            if self._wants_key and not packet.key:
                self.skipped[OVERFLOW] += 1
                return
            self._rhythm.hear(packet.arrived_ns)
            packet.after_gap |= self._wants_key
            self._wants_key = False
            self._queue.append(Item(session, packet))
            self._bytes += packet.size
            self._changed.notify_all()

    def end(self, end: End) -> None:
        """Say that nothing more comes."""
        with self._changed:
            self._queue.append(end)
            self._changed.notify_all()

    def close(self) -> None:
        """Let go of everything, and of a reader that waits."""
        with self._changed:
            self._closed = True
            self._queue.clear()
            self._bytes = 0
            self._changed.notify_all()

    def take(self, timeout: float) -> Item | End | None:
        """Return what is next; None if nothing comes within so many seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._queue, timeout):
                return None
            self._settle()
            self._skip()
            if not self._queue:
                return None
            item = self._queue.popleft()
            if isinstance(item, Item):
                self._bytes -= item.packet.size
                self._taken = time.monotonic()
            self._changed.notify_all()
            return item

    def behind(self, item: Item) -> float:
        """Return by how many seconds a packet is older than the newest that waits; infinity if that is unknown."""
        with self._changed:
            return self._behind(item)

    def _behind(self, item: Item) -> float:
        newest = next((other for other in reversed(self._queue) if isinstance(other, Item)), item)
        if not item.session.newest_only:
            return 0.0
        if newest.session is not item.session:
            return (newest.packet.arrived_ns - item.packet.arrived_ns) / 1e9
        (begin, how), (end, _) = (captured(each.packet, each.packet.stamp) for each in (item, newest))
        if how == ARRIVAL and (len(self._queue) > _AT_ONCE or self._rhythm.catches_up):
            return float("inf")
        return (end - begin) / 1e9

    def _settle(self) -> None:
        """After a silence, or in a new connection, wait for what was held up: the first of it is the oldest.

        The lock is held.
        """
        first, idle = self._queue[0], time.monotonic() - self._taken
        if not isinstance(first, Item) or (first.session is self._settled and idle < _SILENCE):
            return
        self._settled = first.session
        if not first.session.newest_only:
            return
        give_up = time.monotonic() + _SETTLING
        while time.monotonic() < give_up and self._queue:
            newest = self._queue[-1]
            self._changed.wait(self._quiet())
            if self._queue and self._queue[-1] is newest:
                return

    def _quiet(self) -> float:
        return max(_QUIET, 0.75 * min(self._rhythm.usual, _SETTLING / 2))

    def _skip(self) -> None:
        """Drop what a decoder that is behind need not decode. The lock is held."""
        oldest = self._queue[0] if self._queue else None
        if not isinstance(oldest, Item):
            return
        limit = LATE if oldest.session.intra else self._max_age
        if self._behind(oldest) > limit and (place := self._newest_key()):
            self._drop(place, BEHIND)
            first = self._queue[0]
            if isinstance(first, Item):
                first.packet.after_gap = True

    def _newest_key(self) -> int:
        """Return the place of the newest packet at which decoding can begin; 0 where there is none after the first."""
        for place in range(len(self._queue) - 1, 0, -1):
            item = self._queue[place]
            if isinstance(item, Item) and item.packet.key:
                return place
        return 0

    def _drop(self, count: int, cause: str) -> None:
        for _ in range(count):
            item = self._queue.popleft()
            if isinstance(item, Item):
                self._bytes -= item.packet.size
                self.skipped[cause] += 1
