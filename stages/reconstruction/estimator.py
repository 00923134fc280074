"""What an estimator is: whatever takes tracked boxes to hands."""

from collections.abc import Callable, Sequence
from typing import Protocol

from hamba_core.hand import HandModel
from stages.packets import Choice, Detections, Hand, HandTopology


class Estimator(Protocol):
    """Called by the reconstruct stage from one thread: `open`, then the work, then `close`."""

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

    def hand_model(self) -> HandModel:
        """The hand model that its hands are posed with, after `open`."""

    def topology(self) -> HandTopology:
        """The hand model's topology, after `open`."""

    def close(self) -> None:
        """Free everything."""
