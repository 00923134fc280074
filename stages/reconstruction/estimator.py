"""What an estimator is: whatever takes tracked boxes to hands."""

from collections.abc import Callable, Sequence
from typing import Protocol

from stages.packets import Choice, Detections, Hand


class Estimator(Protocol):
    """Called by the reconstruct stage from one thread: `open`, then the work, then `close`.

    Its hands are those of the hand model that the run was given, in parameters and vertices.
    """

    @property
    def name(self) -> str:
        """As in settings and reports."""

    @property
    def batch(self) -> int:
        """How many frames `begin` gains from at once; `open` may lower it."""

    @property
    def in_flight(self) -> int:
        """How many calls of `begin` may be under way at once; `open` may set it."""

    def open(self) -> None:
        """Load what is needed. Raises HambaError."""

    def begin(self, detections: Sequence[Detections]) -> Callable[[], Sequence[tuple[Hand, ...]]]:
        """Start on these frames; what it gives waits for the hands of each. Frames come in order of time."""

    def choices(self) -> tuple[Choice, ...]:
        """What is in use and why, beyond the estimator's own name."""

    def close(self) -> None:
        """Free everything."""
