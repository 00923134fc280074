"""The runtime reads time from a clock: the machine's, or one that a test moves by hand."""

import time
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Protocol


class Bell:
    """Wakes one waiting thread. `ring` is safe from any thread and from a signal handler."""

    def __init__(self) -> None:
        # SimpleQueue.put is reentrant; threading.Event.set is not, and deadlocks in the handler of a waiting thread.
        self._rings: SimpleQueue[None] = SimpleQueue()

    def ring(self) -> None:
        """Wake the thread that waits, or the next one that will."""
        self._rings.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Return once rung, or after so many seconds (None waits for ever)."""
        try:
            self._rings.get(timeout=seconds)
            while True:
                self._rings.get_nowait()
        except Empty:
            pass


class Clock(Protocol):
    """What the runtime asks of a clock."""

    resumed_ns: int
    """When this process last went on after it had been paused as a whole, as by Ctrl-Z; 0 where it never was."""

    def now_ns(self) -> int:
        """Return nanoseconds that never go back, on the clock that stamps frames."""

    def wait_until(self, bell: Bell, deadline_ns: int) -> None:
        """Return when the bell rings or `deadline_ns` has come; it may also return early."""


class MonotonicClock:
    """The machine's clock, `time.monotonic_ns`. It notices a pause of the process in which somebody waits."""

    resumed_ns = 0
    now_ns = staticmethod(time.monotonic_ns)

    # A signal does not always cut the main thread's wait short, so Python's handlers might run at its end only.
    _LONGEST_WAIT_NS = 100_000_000
    _PAUSE_NS = 1_000_000_000

    def wait_until(self, bell: Bell, deadline_ns: int) -> None:
        """Return when the bell rings, when `deadline_ns` has come, or after 0.1 s."""
        begin, worked = time.monotonic_ns(), time.process_time_ns()
        bell.wait(max(0, min(deadline_ns - begin, self._LONGEST_WAIT_NS)) / 1e9)
        now = time.monotonic_ns()
        passed = now - begin
        # A part that keeps Python for itself makes it late too, but works while it does.
        if passed > self._LONGEST_WAIT_NS + self._PAUSE_NS and time.process_time_ns() - worked < passed // 2:
            self.resumed_ns = now


class SimulatedClock:
    """A clock that stands still until `advance`: policies and time limits are tested without sleeping."""

    def __init__(self, now_ns: int = 0) -> None:
        self.resumed_ns = 0
        self._now_ns = now_ns
        self._lock = Lock()
        self._waiting: list[Bell] = []

    def now_ns(self) -> int:
        """Return simulated nanoseconds."""
        return self._now_ns

    def advance(self, seconds: float, *, paused: bool = False) -> None:
        """Move time on, with the whole process paused or not; wake all that wait, to look at the clock again."""
        with self._lock:
            self._now_ns += round(seconds * 1e9)
            if paused:
                self.resumed_ns = self._now_ns
            for bell in self._waiting:
                bell.ring()

    def wait_until(self, bell: Bell, deadline_ns: int) -> None:
        """Return when the bell rings, when time is moved on, or at once if `deadline_ns` has come."""
        with self._lock:
            if self._now_ns >= deadline_ns:
                return
            self._waiting.append(bell)
        try:
            bell.wait()
        finally:
            with self._lock:
                self._waiting.remove(bell)
