"""A worker takes a source, stage or sink through its life in a thread: open, work, close, whatever goes wrong."""

import logging
import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

from pipeline.runtime.channel import Channel
from pipeline.runtime.clock import Bell, Clock
from pipeline.runtime.drops import ABANDONED, DISCARDED, FAILED
from pipeline.runtime.telemetry import Histogram, Ledger, Meter, Telemetry
from stages.contract import EndOfStream, Sink, Source, Stage
from stages.packets import Choice, Frame, Status

logger = logging.getLogger(__name__)


class Envelope:
    """A packet on its way, with the time of its capture and the time that each stage took."""

    __slots__ = ("captured_ns", "packet", "stage_ns")

    def __init__(self, frame: Frame) -> None:
        self.packet: Any = frame
        self.captured_ns = frame.meta.captured_ns
        self.stage_ns: dict[str, int] = {}


class Abandoned(BaseException):
    """It is raised in a worker's thread when its part returns after the run has given it up."""


@dataclass(frozen=True)
class Failure:
    """An exception that came out of a part; `at_work` unless its work was over and it was being closed."""

    worker: "Worker"
    error: BaseException
    at_work: bool


@dataclass(eq=False)
class Shared:
    """What the workers share with the thread that supervises them.

    Workers add to `failures` and `endings` and ring the bell; the supervisor sets everything else.
    """

    clock: Clock
    telemetry: Telemetry
    live: bool
    max_consecutive_failures: int
    bell: Bell = field(default_factory=Bell)
    failures: list[Failure] = field(default_factory=list)
    endings: list["Worker"] = field(default_factory=list)  # those that raised EndOfStream
    go: Event = field(default_factory=Event)  # everything is open, or the run is `cancelled`
    cancelled: bool = False
    finish: bool = False  # no new frames
    final: Event = field(default_factory=Event)  # all work is done and `final_status` is there
    final_status: Status | None = None


class Worker(ABC):
    """A part and its thread. Only that thread calls the part's methods."""

    def __init__(self, part: Source | Stage[Any, Any] | Sink, shared: Shared) -> None:
        self.name = part.name
        self.patient = isinstance(part, Sink) and part.patient
        self.ledger = Ledger()
        self.times = Histogram()
        self.inbox: Channel[Envelope] | None = None
        self.outboxes: list[Channel[Envelope]] = []
        self.choices: tuple[Choice, ...] = ()
        self.opened = self.worked = self.closed = self.abandoned = False
        self.doing = ""  # the call its part is in, or was in last
        self.since: int | None = None  # when that call began; None between calls
        self.hurry_ns: int | None = None  # set by the supervisor: from here on a call has the grace time only
        self.shared = shared
        self._part = part
        self._failures_in_row = 0
        self._thread = Thread(target=self._main, name=f"hamba {self.name}", daemon=True)
        shared.telemetry.add(Meter(self.name, self.ledger, self.times))

    @property
    def spare(self) -> bool:
        """Whether a live run goes on where it cannot."""
        return isinstance(self._part, Sink) and self._part.spare

    @property
    def started(self) -> bool:
        """Whether its thread runs, or has run."""
        return self._thread.ident is not None

    @property
    def over(self) -> bool:
        """Whether nothing more is to come from its thread."""
        return self.closed or self.abandoned or not self.started

    def start(self) -> None:
        """Start the thread; it opens its part at once."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread of a part that is closed."""
        self._thread.join()

    def abandon(self, since: int) -> bool:
        """Give the part up in the call that began at `since`. Returns False if that call has returned by now.

        Packets that it has in hand or that wait for it are counted as abandoned. Its thread lives on until the call
        returns, then closes the part and ends; since it is a daemon, it does not hold the process.
        """
        with self.ledger.lock:
            if self.since != since:
                return False
            self.abandoned = True
        self.ledger.drop_in_hand(ABANDONED)
        self._end_flow(ABANDONED)
        return True

    def where(self) -> str:
        """Return the calls that the part's thread is in: file, line and function, outermost first."""
        frame = sys._current_frames().get(self._thread.ident or -1)
        stack = traceback.extract_stack(frame) if frame is not None else []
        ours = [i for i, call in enumerate(stack) if Path(call.filename).parent == Path(__file__).parent]
        calls = stack[ours[-1] + 1 :] if ours else stack
        places = [f"{Path(call.filename).name}:{call.lineno} in {call.name}" for call in calls]
        if len(places) > 3:
            places = [places[0], "...", *places[-2:]]
        return " > ".join(places) or "an unknown place"

    def _main(self) -> None:
        try:
            if self._guard(self._open):
                self.shared.go.wait()
                if not self.shared.cancelled:
                    self._guard(self._work)
            self._end_work()
            if self.opened:
                self._guard(self._finish)
        except Abandoned:
            logger.warning("%s returned from %s after it was abandoned; closing it", self.name, self.doing)
        try:
            self._guard(self._close)
        except Abandoned:
            logger.warning("%s is closed now, after it was abandoned", self.name)
        self.closed = True
        self.shared.bell.ring()

    def _guard(self, action: Callable[[], None]) -> bool:
        """Do something that may fail, report a failure, and return whether it went well."""
        try:
            action()
        except Abandoned:
            raise
        except EndOfStream:
            self._leave()
            if not self.worked:
                self.shared.endings.append(self)
        except BaseException as error:  # noqa: BLE001 - run() raises it, whatever it is
            self._leave()
            self.ledger.drop_in_hand(FAILED)
            self.shared.failures.append(Failure(self, error, at_work=not self.worked))
        else:
            return True
        finally:
            self.shared.bell.ring()
        return False

    def _call(self, doing: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the part, and note when that began."""
        self.doing = doing
        self.since = self.shared.clock.now_ns()
        value = function(*arguments)
        self._leave()
        return value

    def _leave(self) -> None:
        """Note that the part has returned. Raises Abandoned if that was too late."""
        with self.ledger.lock:
            self.since = None
            if self.abandoned:
                raise Abandoned

    def _open(self) -> None:
        self._open_part()
        self.choices = self._call("choices", self._part.choices)
        self.opened = True

    @abstractmethod
    def _open_part(self) -> None: ...

    @abstractmethod
    def _work(self) -> None: ...

    def _finish(self) -> None:
        """Do what comes between work and `close`."""
        self.choices = self._call("choices", self._part.choices)

    def _close(self) -> None:
        self._call("close", self._part.close)

    def _end_work(self) -> None:
        self.ledger.drop_in_hand(DISCARDED)
        self._end_flow(DISCARDED)
        self.worked = True
        self.shared.bell.ring()

    def _end_flow(self, cause: str) -> None:
        """Take no more packets, and give none."""
        if self.inbox is not None:
            self.inbox.abort(cause)
        for outbox in self.outboxes:
            outbox.close()

    def _survives(self, error: Exception, frames: int) -> bool:
        """Count failed frames, and return whether the run goes on: a live one does, unless too many failed in a row."""
        kind = f"{self.name}: {type(error).__name__}"
        first = self.shared.telemetry.count_error(kind, frames)
        self._failures_in_row += frames
        if not self.shared.live:
            return False
        if self._failures_in_row >= self.shared.max_consecutive_failures:
            error.add_note(f"{self.name} gave up after {self._failures_in_row} failures in a row")
            return False
        if first:
            logger.warning("%s; the run goes on, and counts those that follow", kind, exc_info=error)
        return True
