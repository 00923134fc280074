"""What is known of the health of one process's runs, and the two questions that supervisors ask of it."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic_ns
from typing import Final

from stages.packets import Status

PATIENCE: Final = 10.0
"""Seconds without news from a run that goes on, after which it is not alive. News come each second."""


@dataclass(frozen=True)
class Answer:
    """An answer to a supervisor, and why."""

    yes: bool
    reason: str


class Health:
    """It keeps the newest status of each run. Any thread may ask, and any may update."""

    def __init__(self, now_ns: Callable[[], int] = monotonic_ns) -> None:
        self._now_ns = now_ns
        self._lock = Lock()
        self._known: dict[str, tuple[int, Status]] = {}

    def update(self, status: Status) -> None:
        """Take the newest status of a run, as `on_status` gives it."""
        with self._lock:
            self._known[status.stream] = (self._now_ns(), status)

    def statuses(self) -> tuple[Status, ...]:
        """Return the newest status of each run, in the order in which they began."""
        with self._lock:
            return tuple(status for _, status in self._known.values())

    def age(self, stream: str) -> float:
        """Return the seconds since a run's newest status."""
        with self._lock:
            at_ns, _ = self._known[stream]
        return (self._now_ns() - at_ns) / 1e9

    def alive(self) -> Answer:
        """Return whether the process should be left alone: no run that goes on has been silent for long.

        A run that waits for its camera is alive.
        """
        silent = [
            f"{status.stream}: no news for {age:.0f} s"
            for status in self.statuses()
            if status.state == "running" and (age := self.age(status.stream)) > PATIENCE
        ]
        return Answer(not silent, "; ".join(silent) or "every run tells its numbers")

    def ready(self) -> Answer:
        """Return whether hands can be had now: every run goes on, and new pictures come from its source."""
        statuses = self.statuses()
        if not statuses:
            return Answer(False, "no run has begun: its source or its network is being opened")
        troubles = [f"{status.stream}: {trouble}" for status in statuses if (trouble := _trouble(status))]
        return Answer(not troubles, "; ".join(troubles) or "frames flow")


def _trouble(status: Status) -> str:
    """Return why a run gives no hands now; empty where it does."""
    if status.state != "running":
        return f"{status.state}{': ' if status.reason else ''}{status.reason}"
    if status.source is not None and status.source.state != "live":
        return f"source {status.source.state} for {status.source.seconds:.0f} s"
    return "" if status.rate > 0 else "no results in the last seconds"
