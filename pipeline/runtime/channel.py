"""A bounded channel takes packets from one thread to the next.

A channel has one producer and one consumer. Its policy says what happens when it is full: `block` makes the producer
wait (every packet, in order); `latest` throws the oldest packet away and counts it (with capacity 1: the newest frame).
What to drop is decided by what waits and how old it is, never by rates.

A thread that has to wait says so, and is woken once, through a lock that serves as a semaphore; nothing is spent where
nobody waits. (A `threading.Condition` makes a lock for every wait and is several times as slow.)
"""

from collections import deque
from threading import Lock
from typing import Generic, Literal, Protocol, TypeVar

from pipeline.runtime.clock import Clock
from pipeline.runtime.drops import OUTDATED, REPLACED
from pipeline.runtime.telemetry import Ledger

Policy = Literal["block", "latest"]


class Stamped(Protocol):
    """A packet that knows when its frame was captured."""

    captured_ns: int


T = TypeVar("T", bound=Stamped)


class Channel(Generic[T]):
    """A queue of limited length between two threads. It counts packets in the consumer's ledger.

    `window` limits how many packets may be on their way beyond this channel: `take` waits until fewer have been taken
    than `leave` was told of. In a live run the first stage's channel has one: frames are dropped before work is spent
    on them, and those that are taken do not queue up along the line.

    `max_age_ns`: a packet older than that is dropped when it is its turn, if a newer one waits behind it. The newest is
    always given, so that a slow machine still gets through. `entrance` is the channel whose window the packets of this
    one have passed; it is told of those dropped here.
    """

    def __init__(
        self,
        ledger: Ledger,
        policy: Policy,
        capacity: int,
        *,
        clock: Clock,
        max_age_ns: int | None = None,
        window: int | None = None,
        entrance: "Channel[T] | None" = None,
    ) -> None:
        self._ledger = ledger
        self._policy = policy
        self._capacity = ledger.capacity = capacity
        self._clock = clock
        self._max_age_ns = max_age_ns
        self._window = window
        self._entrance = entrance
        self._lock = ledger.lock
        self._queue: deque[T] = deque()
        self._taken = 0  # and not left yet; counted with a window only
        self._closed = False
        self._nudged = False
        self._refusal = ""  # the cause under which packets are dropped, once it takes no more
        self._filled, self._producer_freed = Lock(), Lock()
        self._filled.acquire()
        self._producer_freed.acquire()
        self._consumer_waits = self._producer_waits = False

    @property
    def replaced(self) -> int:
        """How many packets a newer one has taken the place of."""
        return self._ledger.dropped[REPLACED]

    def put(self, packet: T) -> None:
        """Add a packet; waits while it is full and its policy is `block`. Never raises.

        After `abort` the packet is counted as received and dropped.
        """
        queue, ledger = self._queue, self._ledger
        self._lock.acquire()
        try:
            if len(queue) >= self._capacity:
                self._make_room()
            ledger.received += 1
            if self._refusal:
                ledger.dropped[self._refusal] += 1
                return
            queue.append(packet)
            waiting = ledger.waiting = len(queue)
            if waiting > ledger.peak:
                ledger.peak = waiting
            wake = self._consumer_waits and (self._window is None or self._taken < self._window)
            if wake:
                self._consumer_waits = False
        finally:
            self._lock.release()
        if wake:
            self._filled.release()

    def _make_room(self) -> None:
        """Wait for room, or drop the oldest packet. The lock is held."""
        if self._policy == "latest":
            self._queue.popleft()
            self._ledger.dropped[REPLACED] += 1
            return
        while len(self._queue) >= self._capacity and not self._refusal:
            self._producer_waits = True
            self._lock.release()
            self._producer_freed.acquire()
            self._lock.acquire()

    def take(self, most: int = 1, emitted: int = 0, *, wait: bool = True) -> list[T] | None:
        """Wait for a packet and give it with those that wait behind it, at most `most`; never waits for more than one.

        `emitted` is how many packets of those taken before have been passed on since: they are settled in the ledger.
        Returns None once the channel is closed and empty, or aborted; an empty list after `nudge`, or where there is
        nothing to be had and it may not `wait`.
        """
        queue, ledger = self._queue, self._ledger
        outdated = 0
        self._lock.acquire()
        try:
            ledger.emitted += emitted
            ledger.in_hand -= emitted
            while not queue or not (self._window is None or self._taken < self._window):
                if self._refusal or (self._closed and not queue):
                    return None
                if self._nudged:
                    break
                if not wait:
                    return []
                self._consumer_waits = True
                self._lock.release()
                self._filled.acquire()
                self._lock.acquire()
            if self._nudged:
                self._nudged = False
                return []
            if self._max_age_ns is not None and len(queue) > 1:
                outdated = self._drop_outdated(self._max_age_ns)
            if most == 1:
                packets = [queue.popleft()]
            else:
                most = most if self._window is None else min(most, self._window - self._taken)
                packets = [queue.popleft() for _ in range(min(most, len(queue)))]
            if self._window is not None:
                self._taken += len(packets)
            ledger.in_hand += len(packets)
            ledger.waiting = len(queue)
            wake = self._producer_waits
            if wake:
                self._producer_waits = False
        finally:
            self._lock.release()
        if wake:
            self._producer_freed.release()
        if outdated and self._entrance is not None:
            self._entrance.leave(outdated)
        return packets

    def _drop_outdated(self, max_age_ns: int) -> int:
        """With the lock held: drop what is too old while something newer waits; how many that were."""
        oldest, outdated = self._clock.now_ns() - max_age_ns, 0
        while len(self._queue) > 1 and self._queue[0].captured_ns < oldest:
            self._queue.popleft()
            outdated += 1
        if outdated:
            self._ledger.dropped[OUTDATED] += outdated
        return outdated

    def leave(self, count: int) -> None:
        """So many of the packets taken from here have come to the end of the line, or were dropped on the way."""
        with self._lock:
            self._taken -= count
            wake = self._consumer_waits and bool(self._queue)
            if wake:
                self._consumer_waits = False
        if wake:
            self._filled.release()

    def nudge(self) -> None:
        """Make the consumer's `take`, this one or the next, return an empty list."""
        with self._lock:
            self._nudged = True
            self._wake_consumer()

    def close(self) -> None:
        """No more packets come: the consumer gets what waits, then None."""
        with self._lock:
            self._closed = True
            self._wake_consumer()

    def abort(self, cause: str) -> None:
        """Drop what waits and, from now on, everything that is put. The first cause given stays."""
        with self._lock:
            if self._refusal:
                return
            self._refusal = cause
            if self._queue:
                self._ledger.dropped[cause] += len(self._queue)
                self._queue.clear()
                self._ledger.waiting = 0
            self._wake_consumer()
            if self._producer_waits:
                self._producer_waits = False
                self._producer_freed.release()

    def _wake_consumer(self) -> None:
        if self._consumer_waits:
            self._consumer_waits = False
            self._filled.release()
