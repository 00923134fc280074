"""The runner runs a source, a line of stages and any number of sinks, each in a thread of its own, until all is over.

What holds, whatever a part does:

- `run` returns the report or raises the first exception, the very object that was raised. Later ones are notes on it.
- Every part whose `open` was called is closed once, in its own thread, also after its `open` raised.
- For each part: received = emitted + the sum of dropped + in flight, at any time; at the end nothing is in flight.
  What one part emitted is what the next received. Order is kept.
- Sinks are told the final state before they are closed, so that what they wrote stays readable.

What ends a run, and what becomes of the frames on their way:

- The source ends, or breaks: all frames on their way reach the sinks.
- `stop` is called: no new frames are asked for, and those on their way reach the sinks.
- A sink raises EndOfStream: the frames on their way reach the other sinks.
- A stage raises (in a live run: too often in a row) or raises EndOfStream: what has passed it reaches the sinks, the
  rest is dropped and counted.
- A sink raises: what has passed the last stage reaches the other sinks, the rest is dropped and counted.

How long it takes. A call into a part (`open`, `process`, the next frame, `write`, `close`...) that does not return is
given up after `RuntimeSettings.grace` seconds once `stop` was called or a part failed, counted from that moment or from
the start of the call, whichever is later. While a run goes its normal way, and while it drains after its source ended
or broke, slow is not stuck: a call may take `RuntimeSettings.stall` seconds, and `open` as long as it likes. A part
that is given up is abandoned: it is named in a StuckStageError with the place where it hangs, its packets are counted
as abandoned, and its thread, a daemon, cannot hold the process. A stage that is still being opened when a run is
stopped before it began is waited for a second, and then left without an error: it has nothing to lose. So a part that
is stuck at work delays the end by the grace time, one that is stuck in being told the final state or closed by another.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import Field

from hamba_core.errors import ConfigurationError, PipelineError
from pipeline.runtime.channel import Channel, Policy
from pipeline.runtime.clock import Clock, MonotonicClock
from pipeline.runtime.supervisor import Supervisor
from pipeline.runtime.telemetry import Telemetry
from pipeline.runtime.worker import Envelope, Shared, Worker
from pipeline.runtime.workers import SinkWorker, SourceWorker, StageWorker
from stages.contract import Sink, Source, Stage
from stages.packets import Choice, RunInfo, SourceInfo, Status
from stages.settings import StageSettings

Mode = Literal["offline", "live"]


class RuntimeSettings(StageSettings):
    """How long the runtime waits and how much it lets wait."""

    grace: float = Field(
        5.0,
        gt=0,
        le=1e6,
        description="seconds that a call may take after the run was stopped or failed, before its part is abandoned",
    )
    stall: float = Field(
        300.0,
        gt=0,
        le=1e6,
        description="seconds that a call other than `open` may take in a normal run, before its part is abandoned",
    )
    capacity: int = Field(
        4,
        ge=1,
        le=10_000,
        description="most packets waiting before a part (offline) or before a sink (live)",
    )
    in_flight: int = Field(
        2,
        ge=1,
        le=10_000,
        description="live: most frames between the start of the first stage and the end of the last; more "
        "keeps more stages busy, fewer means less latency",
    )
    max_age: float = Field(
        1.0,
        gt=0,
        le=1e6,
        description="live: seconds after which a frame is dropped between stages if a newer one waits behind it",
    )
    max_consecutive_failures: int = Field(
        30, ge=1, description="live: this many consecutive failed frames of one part end the run"
    )


@dataclass(frozen=True)
class SinkPolicy:
    """What happens to results that a sink cannot take at once.

    `block`: the stages wait for it (offline only). `latest`: the oldest of `capacity` waiting ones is dropped.
    """

    policy: Policy
    capacity: int

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy) or self.capacity < 1:
            raise ConfigurationError(
                "SinkPolicy: expected policy 'block' or 'latest' and capacity >= 1, "
                f"found {self.policy!r}, {self.capacity}"
            )


class Runner:
    """One run. The text of this module says what it promises.

    `run_info` is called once, in the thread of `run`, when the source and all stages are open. `on_status` is called
    there too, about once a second and at the end, and must not block. `sink_policies` has policies by the names of
    sinks; a sink that is not in it gets `block` offline and `latest` live, with `settings.capacity`. `choices` gives
    what the report says of the run as a whole, beside what its parts say.

    Raises ConfigurationError if the parts do not make a pipeline.
    """

    def __init__(
        self,
        source: Source,
        stages: Sequence[Stage[Any, Any]],
        sinks: Sequence[Sink],
        *,
        run_info: Callable[[SourceInfo], RunInfo],
        mode: Mode = "offline",
        stream: str = "hands",
        settings: RuntimeSettings | None = None,
        sink_policies: Mapping[str, SinkPolicy] | None = None,
        clock: Clock | None = None,
        on_status: Callable[[Status], None] | None = None,
        choices: Callable[[], Sequence[Choice]] = tuple,
    ) -> None:
        settings = settings or RuntimeSettings()
        policies = dict(sink_policies or {})
        sink_names = [sink.name for sink in sinks]
        _check(mode, [source.name, *(stage.name for stage in stages), *sink_names], len(stages))
        _check_policies(mode, sink_names, policies)
        clock = clock or MonotonicClock()
        shared = Shared(clock, Telemetry(stream, clock), mode == "live", settings.max_consecutive_failures)
        workers = (
            SourceWorker(source, shared),
            [StageWorker(stage, shared) for stage in stages],
            [SinkWorker(sink, shared) for sink in sinks],
        )
        _connect_line(workers[0], workers[1], [stage.batch for stage in stages], settings)
        _connect_sinks(workers[1][-1], workers[2], policies, settings)
        self._supervisor = Supervisor(
            *workers,
            shared,
            grace_ns=round(settings.grace * 1e9),
            stall_ns=round(settings.stall * 1e9),
            run_info=run_info,
            on_status=on_status,
            choices=choices,
        )
        self._ran = False
        self._report: Status | None = None

    def run(self) -> Status:
        """Run until the end, and return the report. Raises the first exception that came out of a part.

        It may be called once. KeyboardInterrupt stops the run as `stop` does, and is raised when the run is over; a
        second one leaves everything as it is.
        """
        if self._ran:
            raise PipelineError("Runner.run: expected to be called once, found a second call; make a new Runner")
        self._ran = True
        supervisor = self._supervisor
        try:
            supervisor.supervise()
        except BaseException as error:  # noqa: BLE001 - KeyboardInterrupt, or from a callback: raised below
            supervisor.interrupt(error)
            supervisor.supervise()
        self._report = supervisor.status(supervisor.state, supervisor.reason)
        try:
            supervisor.tell(self._report)
        except Exception as error:
            if supervisor.error is None:
                raise
            supervisor.error.add_note(f"after that, on_status: {type(error).__name__}: {error}")
        if supervisor.error is not None:
            raise supervisor.error
        return self._report

    def stop(self) -> None:
        """End the run: no new frames are asked for, those on their way are finished, and everything is closed.

        It may be called from any thread or signal handler, several times, also before `run`. It returns at once.
        """
        self._supervisor.stop()

    def status(self) -> Status:
        """Return the state of the run now, or its report once it is over. Any thread may call it."""
        return self._report or self._supervisor.status("running")

    def calls(self) -> dict[str, str]:
        """Return the calls into parts that have not returned yet, by the part's name: where a run is, or hangs.

        As {"detect": "process"}; from any thread.
        """
        return self._supervisor.calls

    @property
    def report(self) -> Status | None:
        """The report, once `run` has returned or raised; None before."""
        return self._report

    @property
    def abandoned(self) -> tuple[str, ...]:
        """The names of parts that were given up. Their threads may still be in foreign code when the process ends."""
        return self._supervisor.abandoned


def _check(mode: str, names: Sequence[str], stages: int) -> None:
    if mode not in get_args(Mode):
        raise ConfigurationError(f"mode: expected one of {', '.join(get_args(Mode))}, found {mode!r}")
    if not stages:
        raise ConfigurationError("stages: expected at least one, that makes hands of frames, found none")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ConfigurationError(
            f"names of parts: expected each once, found {', '.join(repeated)} more than once; rename one of them"
        )


def _check_policies(mode: str, sinks: Sequence[str], policies: Mapping[str, SinkPolicy]) -> None:
    for name, policy in policies.items():
        if name not in sinks:
            raise ConfigurationError(f"sink policies: expected names of sinks ({', '.join(sinks)}), found {name!r}")
        if mode == "live" and policy.policy == "block":
            raise ConfigurationError(
                f"sink policy of {name}: expected 'latest' in a live run, where no sink may hold up the stages, "
                "found 'block'; give it a larger capacity instead"
            )


def _connect_line(
    source: SourceWorker, stages: Sequence[StageWorker], batches: Sequence[int], settings: RuntimeSettings
) -> None:
    """Put a channel before each stage.

    Live, the newest frame waits at the entrance until one of those in the line has left it: frames are dropped before
    any work is spent on them, and never for want of room further down.
    """
    entrance: Channel[Envelope] | None = None
    worker: Worker = source
    for stage, batch in zip(stages, batches, strict=True):
        clock = stage.shared.clock
        if not stage.shared.live:
            channel = Channel[Envelope](stage.ledger, "block", max(settings.capacity, batch), clock=clock)
        elif entrance is None:
            channel = Channel(stage.ledger, "latest", 1, clock=clock, window=settings.in_flight)
            entrance = channel
        else:
            channel = Channel(
                stage.ledger,
                "block",
                max(1, settings.in_flight - 1),
                clock=clock,
                max_age_ns=round(settings.max_age * 1e9),
                entrance=entrance,
            )
        stage.inbox, stage.entrance = channel, entrance
        worker.outboxes.append(channel)
        worker = stage
    stages[-1].last = True


def _connect_sinks(
    last: StageWorker, sinks: Sequence[SinkWorker], policies: Mapping[str, SinkPolicy], settings: RuntimeSettings
) -> None:
    default = SinkPolicy("latest" if last.shared.live else "block", settings.capacity)
    for sink in sinks:
        policy = policies.get(sink.name, default)
        sink.inbox = Channel(sink.ledger, policy.policy, policy.capacity, clock=last.shared.clock)
        last.outboxes.append(sink.inbox)
