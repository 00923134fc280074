"""What a source, a stage and a sink are.

The runner calls each of them from one thread of its own: `open`, then the work, then `close`. None of them starts
threads or queues for its own flow; a source that waits in foreign code may keep one thread for that. `close` is called
exactly once if `open` was called, even if `open` raised; it must not block for long and may raise. Anything that blocks
(a camera, a socket) does so with a time-out well under a second where the library allows, so that a run can be stopped.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Generic, Self, TypeVar

from stages.packets import Choice, Frame, FrameResult, RunInfo, SourceInfo, SourceStatus, Status

In = TypeVar("In")
Out = TypeVar("Out")


class EndOfStream(Exception):  # noqa: N818 - a signal, as StopIteration
    """A stage or a sink raises this when it needs no more: the run ends normally."""


class Source(ABC):
    """A source gives frames."""

    name: str = "source"
    live: bool = False
    """Whether frames are expected to come at their own time; what `SourceInfo.live` says once it is open counts."""
    stills: bool = False
    """Whether the pictures have nothing to do with one another."""

    @abstractmethod
    def open(self) -> SourceInfo:
        """Open it and tell what is known. Raises SourceError."""

    @abstractmethod
    def frames(self) -> Iterator[Frame | None]:
        """Yield frames in order, with rising indices and time stamps.

        None means "nothing yet": a source that waits (a camera, a network) yields it several times a second,
        so that the runner can stop. Raises SourceError; BrokenSourceError once frames have come.
        """

    def interrupt(self) -> None:  # noqa: B027 - what opens at once need not be told
        """End an `open` that waits, since the run ends: it may raise EndOfStream. Any thread may call this."""

    def close(self) -> None:  # noqa: B027 - nothing to close is a good default
        """Free everything."""

    def choices(self) -> tuple[Choice, ...]:
        """Return what is in use and why; asked after `open` and at the end."""
        return ()

    def status(self) -> SourceStatus | None:
        """Return how a live source is, also while it is being opened. Any thread may ask."""
        return None

    def outpaced(self, replaced: bool) -> None:  # noqa: B027 - few sources can do with less work
        """Take note of whether the newest frame took the place of one that no stage had taken yet, in a live run.

        Called after each frame, in the thread of `frames`: a source may leave out work whose results nobody takes.
        """

    def skipped(self) -> Mapping[str, int]:
        """Return how many pictures were never given since they were too old, by cause; asked after each frame."""
        return {}


class Stage(ABC, Generic[In, Out]):
    """A stage is one step: it takes a packet and gives one. A `with` block opens and closes it."""

    name: str
    batch: int = 1
    """How many waiting packets `process_many` gains from; the runner never waits to fill it. `open` may lower it."""
    in_flight: int = 1
    """Batches that may be under way at once, for a stage whose work is done elsewhere, on a GPU; `open` may set it."""

    def __enter__(self) -> Self:
        try:
            self.open()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self) -> None:
        """Load what is needed. Slow work belongs here, not in the first `process`."""

    @abstractmethod
    def process(self, packet: In) -> Out:
        """Take one packet and return one. Raises EndOfStream to end the run."""

    def process_many(self, packets: Sequence[In]) -> Sequence[Out]:
        """Take several packets and return as many, in the same order. If it raises, all of them are lost."""
        return [self.process(packet) for packet in packets]

    def begin(self, packets: Sequence[In]) -> Callable[[], Sequence[Out]]:
        """Start on these packets; calling what it gives waits for their results, as `process_many` gives them.

        Called in the place of `process` where `in_flight` is more than 1. The runner waits for batches in the order in
        which it began them, each once, or never if the run fails before that: then `close` comes with them under way.
        """
        results = self.process_many(packets)
        return lambda: results

    def close(self) -> None:
        """Free everything."""

    def choices(self) -> tuple[Choice, ...]:
        """Return what is in use and why; asked after `open` and at the end."""
        return ()


class Sink(ABC):
    """A sink takes results. A `with` block closes it; only the owner of a run can open it."""

    name: str
    spare: bool = False
    """Whether it may end by itself: a live run in which it cannot write goes on without it, as long as another sink is
    there that is not spare."""
    patient: bool = False
    """Whether its `write` may wait as long as it likes, since it waits for a person or a program: the runner never
    gives it up. The one that it waits for lets it go at the end."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def open(self, run: RunInfo) -> None:
        """Get ready to write; it is called once source and stages are open. Raises OutputError."""

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Take one result. Raises OutputError, or EndOfStream to end the run."""

    def status(self, status: Status) -> None:  # noqa: B027
        """Take the run's state, about once a second, and once at the end (no longer "running") before `close`."""

    def close(self) -> None:  # noqa: B027
        """Finish files and sockets: what was written stays readable."""

    def choices(self) -> tuple[Choice, ...]:
        """Return what is in use and why; asked after `open` and at the end."""
        return ()
