"""Telemetry counts and times every run: the packets of each part, its times, and the latency."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from threading import Lock
from typing import NamedTuple

from pipeline.runtime.clock import Clock
from stages.common.track_counts import TrackCounter
from stages.packets import Choice, Percentiles, SourceStatus, StageStatus, Status

WINDOW = 5
"""Seconds that rates and percentiles look back while a run goes on (status ticks, one a second)."""


class Ledger:
    """Counts of one part's packets: received = emitted + the sum of dropped + in_hand + what waits in its channel.

    `lock` guards the ledger and the part's channel, so that the sum holds at any time.
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
        """Count a packet that came without a channel, from the source itself."""
        with self.lock:
            self.received += 1
            self.in_hand += 1

    def drop_unseen(self, cause: str, count: int) -> None:
        """Count packets that were dropped before they were in hand."""
        with self.lock:
            self.received += count
            self.dropped[cause] += count

    def settle(self, emitted: int) -> None:
        """Count so many packets in hand as passed on."""
        with self.lock:
            self.emitted += emitted
            self.in_hand -= emitted

    def drop_in_hand(self, cause: str, most: int | None = None) -> None:
        """Count packets in hand as dropped: so many of them, or all."""
        with self.lock:
            count = self.in_hand if most is None else min(most, self.in_hand)
            if count:
                self.dropped[cause] += count
                self.in_hand -= count


class Histogram:
    """It keeps times in bins that are 1/32 of their value wide: a percentile is within 1.6 %, and costs no sorting.

    One thread records; any thread may look. Memory is fixed.
    """

    __slots__ = ("_counts",)

    # Times below 64 ns have a bin each. Above, a time is shifted right until it is 32..63, and `shift` such runs of 32
    # bins follow one another. The last bin takes everything longer than 2 ** 44 ns, almost five hours.
    _LONGEST = 38

    def __init__(self) -> None:
        self._counts = [0] * (32 * (self._LONGEST + 2))

    def record(self, ns: int, count: int = 1) -> None:
        """Count a time `count` times. A time below zero counts as zero."""
        shift = ns.bit_length() - 6
        if ns < 0:
            ns = 0
        elif shift > 0:
            ns = (shift << 5) + (ns >> shift) if shift <= self._LONGEST else -1
        self._counts[ns] += count

    def snapshot(self) -> list[int]:
        """Return the counts so far, to give to `percentiles` later."""
        return self._counts.copy()

    def percentiles(self, since: Sequence[int] | None = None) -> Percentiles:
        """Return percentiles (ms) of all recorded times, or of those recorded after a snapshot."""
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
        """Return the middle of a bin in nanoseconds."""
        if bin_ < 64:
            return bin_
        shift = (bin_ >> 5) - 1
        return ((bin_ - (shift << 5)) + 0.5) * (1 << shift)


@dataclass(frozen=True)
class Meter:
    """One part's name, ledger and times."""

    name: str
    ledger: Ledger
    times: Histogram


class _Tick(NamedTuple):
    at_ns: int
    frames: int
    latency: list[int]
    times: list[list[int]]


class Telemetry:
    """It puts the ledgers of all parts together into a `Status`. Any thread may ask for one.

    `latency`, `frames`, `hands`, `doing` and `tracks` are written by the last stage's thread.
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
        self.doing: tuple[str, ...] = ()
        self.frames_with_hands = 0
        self.tracks = TrackCounter()

    def add(self, meter: Meter) -> None:
        """Add a part; parts are added in order, before `start`."""
        self._meters.append(meter)

    def start(self) -> None:
        """Let the time of the run begin, as frames begin to flow."""
        self._started_ns = self._clock.now_ns()
        self.tick()

    def end(self) -> None:
        """Let the time of the run end, as all parts have done their work."""
        if self._ended_ns is None:
            self._ended_ns = self._clock.now_ns()

    def tick(self) -> None:
        """Begin a new second, and forget the oldest one of the window."""
        times = [meter.times.snapshot() for meter in self._meters]
        self._ticks.append(_Tick(self._clock.now_ns(), self.frames, self.latency.snapshot(), times))

    def count_error(self, kind: str, frames: int) -> bool:
        """Count failed frames by kind, "stage: Error", and return whether this is the first of its kind."""
        with self._lock:
            first = kind not in self._errors
            self._errors[kind] += frames
            return first

    def status(
        self, state: str, reason: str, choices: tuple[Choice, ...], source: SourceStatus | None = None
    ) -> Status:
        """Return the state of the run: over the last seconds while it is "running", over the whole run afterwards."""
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
            doing=self.doing if state == "running" else (),
            tracks=self.tracks.counts,
            rate=(frames - before) * 1e9 / (until - since) if until > since else 0.0,
            latency=self.latency.percentiles(recent and recent.latency),
            stages=tuple(
                _stage_status(meter, recent.times[i] if recent else None) for i, meter in enumerate(self._meters)
            ),
            choices=choices,
            errors=errors,
            source=source,
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
