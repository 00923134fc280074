"""Each kind of part has a worker: a source gives packets, a stage takes and gives them, a sink takes them."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, NoReturn

from hamba_core.errors import PipelineError
from pipeline.runtime.channel import Channel
from pipeline.runtime.drops import DISCARDED, FAILED
from pipeline.runtime.worker import Envelope, Shared, Worker
from stages.contract import EndOfStream, Sink, Source, Stage
from stages.packets import Frame, FrameMeta, FrameResult, RunInfo, SourceInfo, SourceStatus, Status


class SourceWorker(Worker):
    """It puts the source's frames into the first channel, until the source ends or the run needs no more."""

    info: SourceInfo | None = None

    def __init__(self, source: Source, shared: Shared) -> None:
        super().__init__(source, shared)
        self._source = source
        self._frames: Iterator[Frame | None] = iter(())
        self._skipped: dict[str, int] = {}

    def _open_part(self) -> None:
        info = self._call("open", self._source.open)
        if not isinstance(info, SourceInfo):
            raise PipelineError(f"{self.name}: expected open to give a SourceInfo, found {type(info).__name__}")
        self.info = info

    def interrupt(self) -> None:
        """Tell a source that is still being opened that it need not be. From the supervisor's thread."""
        if self.started and not self.opened:
            self._source.interrupt()

    def _work(self) -> None:
        now_ns, entrance, live = self.shared.clock.now_ns, self.outboxes[0], self.shared.live
        replaced = 0
        self._frames = frames = self._call("frames", self._source.frames)
        last: FrameMeta | None = None
        while not self.shared.finish:
            self.since = begin = now_ns()
            try:
                frame = next(frames)
            except StopIteration:
                self._leave()
                return
            spent = now_ns() - begin
            self._leave()
            self._count_skipped()
            if frame is None:
                continue
            self.ledger.receive()
            self._check_order(last, frame.meta)
            self.times.record(spent)
            entrance.put(Envelope(frame))
            self.ledger.settle(1)
            last = frame.meta
            if live:
                before, replaced = replaced, entrance.replaced
                self._source.outpaced(replaced > before)

    def status(self) -> SourceStatus | None:
        """Return how a live source is. From any thread."""
        return self._source.status()

    def _count_skipped(self) -> None:
        """Count the pictures that the source itself left out, as received and dropped."""
        for cause, count in self._source.skipped().items():
            new = count - self._skipped.get(cause, 0)
            if new:
                self._skipped[cause] = count
                self.ledger.drop_unseen(cause, new)

    def _check_order(self, last: FrameMeta | None, frame: FrameMeta) -> None:
        if last is not None and (frame.index <= last.index or frame.captured_ns < last.captured_ns):
            raise PipelineError(
                f"{self.name}: expected rising indices and time stamps, found frame {frame.index} at "
                f"{frame.captured_ns} ns after frame {last.index} at {last.captured_ns} ns; mend the source's frames()"
            )

    def _finish(self) -> None:
        close = getattr(self._frames, "close", None)  # a generator's: its `finally` runs here, not in some other thread
        if close is not None:
            self._call("frames.close", close)
        self._count_skipped()
        super()._finish()


class StageWorker(Worker):
    """It takes packets from its channel through the stage into the next channel; from the last stage, to all sinks.

    `entrance` is the first stage's channel in a live run: it is told when a frame leaves the line.
    """

    entrance: Channel[Envelope] | None = None
    last = False

    def __init__(self, stage: Stage[Any, Any], shared: Shared) -> None:
        super().__init__(stage, shared)
        self._stage = stage

    def _open_part(self) -> None:
        self._call("open", self._stage.open)

    def _work(self) -> None:
        if self.inbox is None:
            return
        if self._stage.in_flight > 1:
            self._work_ahead(self.inbox)
        else:
            self._work_in_turn(self.inbox)

    def _work_in_turn(self, inbox: Channel[Envelope]) -> None:
        """Take a batch when the one before has been passed on."""
        now_ns, take, most = self.shared.clock.now_ns, inbox.take, self._stage.batch
        passed = 0
        self.doing = "process"
        while (envelopes := take(most, passed)) is not None:
            passed = 0
            self.since = begin = now_ns()
            try:
                packets = self._process(envelopes)
            except EndOfStream:
                raise
            except Exception as error:
                if not self._drop_failed(error, len(envelopes)):
                    raise
                continue
            spent = now_ns() - begin
            self._leave()
            self._pass_on(envelopes, packets, spent)
            passed = len(envelopes)

    def _work_ahead(self, inbox: Channel[Envelope]) -> None:
        """Begin what waits while there is room for another batch under way; else finish the oldest."""
        under_way: deque[_Batch] = deque()
        envelopes: Sequence[Envelope] | None
        passed = 0
        while True:
            if len(under_way) < self._stage.in_flight:
                envelopes = inbox.take(self._stage.batch, passed, wait=not under_way)
                passed = 0
            else:
                envelopes = ()
            if envelopes:
                under_way.append(self._begin(envelopes))
            elif under_way:
                passed = self._finish_batch(under_way.popleft())
            elif envelopes is None:
                return

    def _begin(self, envelopes: Sequence[Envelope]) -> "_Batch":
        begin = self.shared.clock.now_ns()
        try:
            finish = self._call("begin", self._stage.begin, [envelope.packet for envelope in envelopes])
        except Exception as error:  # noqa: BLE001 - it is raised in its turn, when what was begun before has passed
            self._leave()
            finish = _raiser(error)
        return _Batch(envelopes, begin, finish)

    def _finish_batch(self, batch: "_Batch") -> int:
        """Wait for a batch, pass it on, and return how many packets it had."""
        count = len(batch.envelopes)
        try:
            packets = self._checked(self._call("finish", batch.finish), count, "begin")
        except EndOfStream:
            raise
        except Exception as error:
            if not self._drop_failed(error, count):
                raise
            return 0
        self._pass_on(batch.envelopes, packets, self.shared.clock.now_ns() - batch.begin)
        return count

    def _process(self, envelopes: Sequence[Envelope]) -> Sequence[Any]:
        if len(envelopes) == 1:
            return self._checked((self._stage.process(envelopes[0].packet),), 1, "process")
        packets = self._stage.process_many([envelope.packet for envelope in envelopes])
        return self._checked(packets, len(envelopes), "process_many")

    def _checked(self, packets: Sequence[Any], count: int, call: str) -> Sequence[Any]:
        if len(packets) != count:
            raise PipelineError(
                f"{self.name}: expected {call} to give {count} packets for as many, found {len(packets)}; "
                "a stage gives one packet for each that it takes"
            )
        if self.last:
            for packet in packets:
                if not isinstance(packet, FrameResult):
                    raise PipelineError(
                        f"{self.name}: expected the last stage to give FrameResult, found {type(packet).__name__}; "
                        "end the line of stages with one that does"
                    )
        return packets

    def _drop_failed(self, error: Exception, count: int) -> bool:
        """Drop packets that a call failed on, and at the run's end those behind them. Return whether it goes on."""
        self._leave()
        survives = self._survives(error, count)
        self.ledger.drop_in_hand(FAILED, count)
        if not survives:
            self.ledger.drop_in_hand(DISCARDED)
        elif self.entrance is not None:
            self.entrance.leave(count)
        return survives

    def _pass_on(self, envelopes: Sequence[Envelope], packets: Sequence[Any], spent: int) -> None:
        """Pass packets on to the next stage, or from the last one to all sinks; each took its share of the time."""
        pass_on, name = self._deliver if self.last else self.outboxes[0].put, self.name
        share = spent // len(envelopes)
        self._failures_in_row = 0
        self.times.record(share, len(envelopes))
        for envelope, packet in zip(envelopes, packets, strict=True):
            envelope.packet = packet
            envelope.stage_ns[name] = share
            pass_on(envelope)

    def _deliver(self, envelope: Envelope) -> None:
        """Give a result of the last stage to every sink."""
        telemetry = self.shared.telemetry
        telemetry.latency.record(self.shared.clock.now_ns() - envelope.captured_ns)
        result: FrameResult = envelope.packet
        telemetry.frames += 1
        telemetry.hands = len(result.hands)
        telemetry.doing = tuple(f"{e.side} {e.kind}".replace("_", " ") for e in result.events if e.phase != "end")
        telemetry.frames_with_hands += bool(result.hands)
        telemetry.tracks.add(result)
        envelope.packet = replace(result, stage_ns={**result.stage_ns, **envelope.stage_ns})
        for outbox in self.outboxes:
            outbox.put(envelope)
        if self.entrance is not None:
            self.entrance.leave(1)


class _Batch(NamedTuple):
    """Packets that a stage has begun to work on."""

    envelopes: Sequence[Envelope]
    begin: int  # ns
    finish: Callable[[], Sequence[Any]]


def _raiser(error: Exception) -> Callable[[], NoReturn]:
    def raise_it() -> NoReturn:
        raise error

    return raise_it


class SinkWorker(Worker):
    """It gives a sink the results of its channel, and news of the run's state."""

    run_info: RunInfo | None = None  # set before it is started

    def __init__(self, sink: Sink, shared: Shared) -> None:
        super().__init__(sink, shared)
        self._news: Status | None = None
        self._sink = sink

    def tell(self, status: Status) -> None:
        """Let the sink's own thread tell it the state of the run as soon as it is free. Only the newest counts."""
        self._news = status
        if self.inbox is not None:
            self.inbox.nudge()

    def _open_part(self) -> None:
        self._call("open", self._sink.open, self.run_info)

    def _work(self) -> None:
        if self.inbox is None:
            return
        now_ns, take, write = self.shared.clock.now_ns, self.inbox.take, self._sink.write
        written = 0
        while (envelopes := take(1, written)) is not None:
            written = 0
            if not envelopes:
                self._tell_news()
                continue
            self.doing = "write"
            self.since = begin = now_ns()
            try:
                write(envelopes[0].packet)
            except EndOfStream:
                raise
            except Exception as error:  # noqa: BLE001 - raised again where the run does not survive it
                self._bear(error)
                self.ledger.drop_in_hand(FAILED)
                continue
            spent = now_ns() - begin
            self._leave()
            self._failures_in_row = 0
            self.times.record(spent)
            written = 1

    def _tell_news(self) -> None:
        try:
            self._call("status", self._sink.status, self._news)
        except EndOfStream:
            raise
        except Exception as error:  # noqa: BLE001 - raised again where the run does not survive it
            self._bear(error)

    def _bear(self, error: Exception) -> None:
        """Go on after a call that failed, or raise its error where the run does not."""
        self._leave()
        if not self._survives(error, 1):
            raise error

    def _finish(self) -> None:
        self.shared.final.wait()
        self._call("status", self._sink.status, self.shared.final_status)
        super()._finish()
