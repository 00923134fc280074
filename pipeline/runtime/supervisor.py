"""The supervisor opens the parts of a run, lets frames flow, winds the run down, and gives up parts that are stuck.

It works in the thread that called `Runner.run`: whenever the bell rings, it looks at where every part is and does what
is due. Nothing depends on how often it looks or on what it saw before, so an interrupted look is simply repeated.
"""

import logging
from collections.abc import Callable, Sequence
from itertools import chain

from hamba_core.errors import OutputError, StuckStageError
from pipeline.runtime.drops import DISCARDED
from pipeline.runtime.worker import Failure, Shared, Worker
from pipeline.runtime.workers import SinkWorker, SourceWorker, StageWorker
from stages.packets import Choice, RunInfo, SourceInfo, Status

logger = logging.getLogger(__name__)

STATUS_INTERVAL_NS = 1_000_000_000
OPENING_NS = 1_000_000_000
"""So long a stage is waited for that is being opened while a run is stopped before it began."""


class Supervisor:
    """It knows the parts of one run, and where each of them is."""

    def __init__(
        self,
        source: SourceWorker,
        stages: Sequence[StageWorker],
        sinks: Sequence[SinkWorker],
        shared: Shared,
        *,
        grace_ns: int,
        stall_ns: int,
        run_info: Callable[[SourceInfo], RunInfo],
        on_status: Callable[[Status], None] | None,
        choices: Callable[[], Sequence[Choice]],
    ) -> None:
        self._source, self._stages, self._sinks = source, stages, sinks
        self._line: list[Worker] = [source, *stages]
        self._workers: list[Worker] = [*self._line, *sinks]
        self._shared = shared
        self._clock, self._telemetry = shared.clock, shared.telemetry
        self._grace_ns, self._stall_ns = grace_ns, stall_ns
        self._run_info, self._on_status, self._choices = run_info, on_status, choices
        self._info: RunInfo | None = None
        self._next_status_ns = self._clock.now_ns() + STATUS_INTERVAL_NS
        self._stop_asked = self._stop_seen = False
        self._failures_seen = self._endings_seen = 0
        self._lost: dict[Worker, BaseException] = {}  # sinks that the run goes on without
        self.error: BaseException | None = None
        """The first exception of the run."""
        self.state, self.reason = "ended", "the source ended"
        """How the run ends, as far as is known."""

    def stop(self) -> None:
        """Ask for the end, from any thread or a signal handler."""
        self._stop_asked = True
        self._shared.bell.ring()

    def supervise(self) -> None:
        """Lead the run to its end: every part that was opened is closed or abandoned."""
        while not self._look():
            self._clock.wait_until(self._shared.bell, min(self._next_status_ns, self._give_up_stuck()))
        for worker in self._workers:
            if worker.closed:
                worker.join()
        if self.error is None:
            self.error = next(iter(self._lost.values()), None)

    @property
    def abandoned(self) -> tuple[str, ...]:
        """The names of parts that were given up."""
        return tuple(worker.name for worker in self._workers if worker.abandoned)

    @property
    def calls(self) -> dict[str, str]:
        """The calls into parts that have not returned, by the part's name."""
        return {worker.name: worker.doing for worker in self._workers if worker.since is not None and not worker.over}

    def interrupt(self, error: BaseException) -> None:
        """Record an exception that was raised in the supervisor's own thread, and ask for the end."""
        if self.error is None and isinstance(error, KeyboardInterrupt):
            self.error, self.state, self.reason = error, "stopped", "interrupted"
        else:
            self._record("the runner", error)
        self.stop()

    def status(self, state: str, reason: str = "") -> Status:
        """Return the state of the run in numbers."""
        lost = [Choice(worker.name, "ended early", str(error), fallback=True) for worker, error in self._lost.items()]
        choices = (*chain.from_iterable(worker.choices for worker in self._workers), *self._choices(), *lost)
        return self._telemetry.status(state, reason, choices, self._source.status())

    def tell(self, status: Status) -> None:
        """Call `on_status`, unless it has raised before."""
        on_status, self._on_status = self._on_status, None
        if on_status is not None:
            on_status(status)
            self._on_status = on_status

    def _look(self) -> bool:
        """Do what is due, and return whether the run is over."""
        shared = self._shared
        # Where the parts are is read before what they reported, because a part reports first and moves on then.
        line_over = all(worker.over for worker in self._line)
        sinks_done = all(sink.over or sink.worked for sink in self._sinks)
        over = all(worker.over for worker in self._workers)
        self._read_reports()
        if shared.finish and not shared.go.is_set():
            shared.cancelled = True
            shared.go.set()
        if not shared.go.is_set():
            self._open_up()
        elif line_over and sinks_done:
            if not shared.final.is_set():
                self._telemetry.end()
                shared.final_status = self.status(self.state, self.reason)
                shared.final.set()
            if over:
                return True
        self._tick()
        return False

    def _open_up(self) -> None:
        """Open the source and all stages at once, then the sinks, which are told about them; then let frames flow."""
        for worker in self._line:
            if not worker.started:
                worker.start()
        if not all(worker.opened for worker in self._line):
            return
        if self._info is None and self._source.info is not None:
            self._info = self._run_info(self._source.info)
        for sink in self._sinks:
            if not sink.started:
                sink.run_info = self._info
                sink.start()
        if all(sink.opened for sink in self._sinks):
            self._telemetry.start()
            self._shared.go.set()

    def _read_reports(self) -> None:
        if self._stop_asked and not self._stop_seen:
            self._stop_seen = True
            if self.state == "ended" and not self._source.worked:
                self.state, self.reason = "stopped", "stop was asked for"
            self._wind_down(self._workers)
        while self._failures_seen < len(self._shared.failures):
            self._handle_failure(self._shared.failures[self._failures_seen])
            self._failures_seen += 1
        while self._endings_seen < len(self._shared.endings):
            self._handle_ending(self._shared.endings[self._endings_seen])
            self._endings_seen += 1

    def _handle_failure(self, failure: Failure) -> None:
        worker = failure.worker
        if worker in self._lost or self._can_do_without(failure):
            self._lost.setdefault(worker, failure.error)
            return
        self._record(worker.name, failure.error)
        if failure.at_work and not (worker is self._source and worker.opened):
            self._discard_before(worker)
            self._wind_down(self._workers)

    def _can_do_without(self, failure: Failure) -> bool:
        """Return whether a live run goes on: a spare sink cannot write, and another that is not spare still does."""
        flowing = self._shared.go.is_set() and not self._shared.finish
        spare = failure.worker in self._sinks and failure.worker.spare and isinstance(failure.error, OutputError)
        if not (self._shared.live and flowing and spare):
            return False
        failed = {other.worker for other in self._shared.failures}
        if not any(not sink.spare and not sink.over and sink not in failed for sink in self._sinks):
            return False
        logger.error("%s has ended, and the run goes on without it: %s", failure.worker.name, failure.error)
        return True

    def _handle_ending(self, worker: Worker) -> None:
        """End the run, as a part asked that raised EndOfStream. Hurry only parts whose work is of no more use."""
        if self.state == "ended":
            self.reason = f"{worker.name} needed no more"
        if worker in self._line:
            self._discard_before(worker)
            self._wind_down(self._line[: self._line.index(worker)])
        else:
            self._wind_down([self._source])

    def _wind_down(self, hurried: Sequence[Worker]) -> None:
        """Ask for no new frames, and give calls of the `hurried` parts the grace time from now on."""
        self._shared.finish = True
        self._source.interrupt()
        now = self._clock.now_ns()
        for worker in hurried:
            if worker.hurry_ns is None:
                worker.hurry_ns = now

    def _discard_before(self, worker: Worker) -> None:
        """Drop what waits for this part or for one before it in the line; for a sink, what waits in the whole line."""
        count = self._line.index(worker) if worker in self._line else len(self._stages)
        for stage in self._stages[:count]:
            if stage.inbox is not None:
                stage.inbox.abort(DISCARDED)

    def _give_up_stuck(self) -> int:
        """Abandon a part whose call has taken too long, and return when to look again (ns)."""
        now = self._clock.now_ns()
        look_again = now + self._stall_ns
        for worker in self._workers:
            since = worker.since
            if since is None or worker.over or (worker.patient and worker.doing == "write"):
                continue
            opening = self._is_needless(worker)
            if worker.hurry_ns is not None:
                begin, limit, when = max(since, worker.hurry_ns), self._grace_ns, " once the run was ending"
                limit = min(limit, OPENING_NS) if opening else limit
            elif worker.doing != "open":
                begin, limit, when = since, self._stall_ns, ""
            else:
                continue
            begin = max(begin, self._clock.resumed_ns)  # while all are paused nobody is slow
            if now < begin + limit:
                look_again = min(look_again, begin + limit)
                continue
            error = StuckStageError(
                f"{worker.name}: expected {worker.doing} to return within {limit / 1e9:g} s{when}, found it still at "
                f"{worker.where()}; it was abandoned. If it is only slow, raise "
                f"runtime.{'grace' if when else 'stall'}"
            )
            if worker.abandon(since):
                if opening:
                    logger.debug("%s was left to itself: the run was stopped while it was opened", worker.name)
                    return now
                self._record(worker.name, error)
                self._discard_before(worker)
                self._wind_down(self._workers)
                return now
        return look_again

    def _is_needless(self, worker: Worker) -> bool:
        """Return whether a stage is being opened, as by loading a network, for a run that was stopped before it began.

        It has nothing that could be lost.
        """
        stopped = self._stop_seen and self.error is None and self._shared.cancelled
        return stopped and worker in self._stages and worker.doing == "open"

    def _tick(self) -> None:
        """Give `on_status` and every sink new numbers, once a second."""
        now = self._clock.now_ns()
        if now < self._next_status_ns:
            return
        self._next_status_ns = now + STATUS_INTERVAL_NS
        flowing = self._shared.go.is_set() and not self._shared.final.is_set()
        if flowing:
            self._telemetry.tick()
        status = self.status("running")
        if flowing:
            for sink in self._sinks:
                sink.tell(status)
        self.tell(status)

    def _record(self, name: str, error: BaseException) -> None:
        """Take the first error for the run's, and add later ones to it as notes."""
        text = f"{name}: {type(error).__name__}: {error}"
        if self.error is None:
            self.error, self.state, self.reason = error, "failed", text
        elif error is not self.error:
            self.error.add_note(f"after that, {text}")
