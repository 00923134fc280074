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

    def now_ns(self) -> int:
        """Return nanoseconds that never go back, on the clock that stamps frames."""

    def wait_until(self, bell: Bell, deadline_ns: int) -> None:
        """Return when the bell rings or `deadline_ns` has come; it may also return early."""


class MonotonicClock:
    """The machine's clock, `time.monotonic_ns`."""

    now_ns = staticmethod(time.monotonic_ns)

    # A signal does not always cut the main thread's wait short, so Python's handlers might run at its end only.
    _LONGEST_WAIT_NS = 100_000_000

    def wait_until(self, bell: Bell, deadline_ns: int) -> None:
        """Return when the bell rings, when `deadline_ns` has come, or after 0.1 s."""
        wait_ns = min(deadline_ns - time.monotonic_ns(), self._LONGEST_WAIT_NS)
        bell.wait(max(0, wait_ns) / 1e9)


class SimulatedClock:
    """A clock that stands still until `advance`: policies and time limits are tested without sleeping."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns
        self._lock = Lock()
        self._waiting: list[Bell] = []

    def now_ns(self) -> int:
        """Return simulated nanoseconds."""
        return self._now_ns

    def advance(self, seconds: float) -> None:
        """Move time on, and wake all that wait, so that each looks at the clock again."""
        with self._lock:
            self._now_ns += round(seconds * 1e9)
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
