"""What is counted and timed in every run, always: the books of each part, times and latency."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import NamedTuple

from pipeline.runtime.clock import Clock
from stages.packets import Choice, Percentiles, StageStatus, Status

WINDOW = 5
"""Seconds that rates and percentiles look back while a run goes on (status ticks, one a second)."""


class Ledger:
    """The books of one part: received = emitted + the sum of dropped + in_hand + what waits in its channel.

    `lock` guards all of it, and the part's channel too, so that the sum holds whenever it is looked at.
    """

    __slots__ = ("capacity", "dropped", "emitted", "in_hand", "lock", "peak", "received", "waiting")

    def __init__(self) -> None:
        self.lock = Lock()
        self.received = 0
        self.emitted = 0
        self.in_hand = 0  # taken from the channel and not settled yet
        self.dropped: Counter[str] = Counter()
        self.waiting = 0  # in the channel
        self.peak = 0
        self.capacity = 0

    def receive(self) -> None:
        """A packet came in another way than through a channel: from the source itself."""
        with self.lock:
            self.received += 1
            self.in_hand += 1

    def settle(self, emitted: int) -> None:
        """So many packets in hand have been passed on."""
        with self.lock:
            self.emitted += emitted
            self.in_hand -= emitted

    def drop_in_hand(self, cause: str, most: int | None = None) -> None:
        """What is in hand, all of it or so many packets, goes no further."""
        with self.lock:
            count = self.in_hand if most is None else min(most, self.in_hand)
            if count:
                self.dropped[cause] += count
                self.in_hand -= count


class Histogram:
    """Times in bins that are 1/32 of their value wide, so that a percentile is within 1.6 % and costs no sorting.

    One thread records; any thread may look. Memory is fixed.
    """

    __slots__ = ("_counts",)

    # Times below 64 ns have a bin each. Above, a time is shifted right until it is 32..63, and `shift` such runs of 32
    # bins follow one another. The last bin takes everything longer than 2 ** 44 ns, almost five hours.
    _LONGEST = 38

    def __init__(self) -> None:
        self._counts = [0] * (32 * (self._LONGEST + 2))

    def record(self, ns: int, count: int = 1) -> None:
        """Count a time `count` times; what is below zero counts as zero."""
        shift = ns.bit_length() - 6
        if ns < 0:
            ns = 0
        elif shift > 0:
            ns = (shift << 5) + (ns >> shift) if shift <= self._LONGEST else -1
        self._counts[ns] += count

    def snapshot(self) -> list[int]:
        """The counts so far, to be given to `percentiles` later."""
        return self._counts.copy()

    def percentiles(self, since: Sequence[int] | None = None) -> Percentiles:
        """Percentiles (ms) of what was recorded, or of what was recorded after a snapshot."""
        counts = self._counts.copy()
        if since is not None:
            counts = [now - before for now, before in zip(counts, since, strict=True)]
        reached = list(accumulate(counts))
        total = reached[-1]
        if total == 0:
            return Percentiles(float("nan"), float("nan"), float("nan"))
        values = []
        for share in (0.50, 0.95, 0.99):
            rank = share * total
            values.append(self._middle(next(i for i, n in enumerate(reached) if n >= rank)) / 1e6)
        return Percentiles(*values)

    @staticmethod
    def _middle(bin_: int) -> float:
        """Nanoseconds in the middle of a bin."""
        if bin_ < 64:
            return bin_
        shift = (bin_ >> 5) - 1
        return ((bin_ - (shift << 5)) + 0.5) * (1 << shift)


@dataclass(frozen=True)
class Meter:
    """A part as the telemetry sees it."""

    name: str
    ledger: Ledger
    times: Histogram


class _Tick(NamedTuple):
    at_ns: int
    frames: int
    latency: list[int]
    times: list[list[int]]


class Telemetry:
    """Puts the books of all parts together into a `Status`. Any thread may ask.

    `latency`, `frames` and `hands` are written by the last stage's thread.
    """

    def __init__(self, stream: str, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._meters: list[Meter] = []
        self._lock = Lock()
        self._ticks: deque[_Tick] = deque(maxlen=WINDOW)
        self._errors: Counter[str] = Counter()
        self._started_ns: int | None = None
        self._ended_ns: int | None = None
        self.latency = Histogram()
        self.frames = 0
        self.hands = 0
        self.frames_with_hands = 0

    def add(self, meter: Meter) -> None:
        """Count a part in, in order; before `start`."""
        self._meters.append(meter)

    def start(self) -> None:
        """Frames begin to flow: time counts from here."""
        self._started_ns = self._clock.now_ns()
        self.tick()

    def end(self) -> None:
        """All parts have done their work: time stands."""
        if self._ended_ns is None:
            self._ended_ns = self._clock.now_ns()

    def tick(self) -> None:
        """Begin a new second; the oldest of the window is forgotten."""
        times = [meter.times.snapshot() for meter in self._meters]
        self._ticks.append(_Tick(self._clock.now_ns(), self.frames, self.latency.snapshot(), times))

    def count_error(self, kind: str, frames: int) -> bool:
        """Count failed frames by kind, "stage: Error"; whether this is the first time."""
        with self._lock:
            first = kind not in self._errors
            self._errors[kind] += frames
            return first

    def status(self, state: str, reason: str, choices: tuple[Choice, ...]) -> Status:
        """The state of the run: of the last seconds while it is "running", of the whole run after."""
        recent = self._ticks[0] if state == "running" and self._ticks else None
        until = self._clock.now_ns() if self._ended_ns is None else self._ended_ns
        started = until if self._started_ns is None else self._started_ns
        since, before = (recent.at_ns, recent.frames) if recent else (started, 0)
        frames = self.frames
        with self._lock:
            errors = dict(self._errors)
        return Status(
            stream=self._stream,
            state=state,
            reason=reason,
            elapsed=(until - started) / 1e9,
            frames=frames,
            hands=self.hands,
            frames_with_hands=self.frames_with_hands,
            rate=(frames - before) * 1e9 / (until - since) if until > since else 0.0,
            latency=self.latency.percentiles(recent and recent.latency),
            stages=tuple(
                _stage_status(meter, recent.times[i] if recent else None) for i, meter in enumerate(self._meters)
            ),
            choices=choices,
            errors=errors,
        )


def _stage_status(meter: Meter, since: list[int] | None) -> StageStatus:
    ledger = meter.ledger
    time = meter.times.percentiles(since)
    with ledger.lock:
        return StageStatus(
            name=meter.name,
            received=ledger.received,
            emitted=ledger.emitted,
            dropped=dict(ledger.dropped),
            in_flight=ledger.in_hand + ledger.waiting,
            time=time,
            queue_depth=ledger.waiting,
            queue_peak=ledger.peak,
            queue_capacity=ledger.capacity,
        )
