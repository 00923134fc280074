"""What each kind of part does in its thread: a source gives, a stage takes and gives, a sink takes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from hamba_core.errors import PipelineError
from pipeline.channel import FAILED, Channel
from pipeline.worker import Envelope, Shared, Worker
from stages.contract import EndOfStream, Sink, Source, Stage
from stages.packets import Frame, FrameMeta, FrameResult, HandTopology, RunInfo, SourceInfo, Status


class SourceWorker(Worker):
    """Puts the source's frames into the first channel until it ends or the run needs no more."""

    info: SourceInfo | None = None

    def __init__(self, source: Source, shared: Shared) -> None:
        super().__init__(source, shared)
        self._source = source
        self._frames: Iterator[Frame | None] = iter(())

    def _open_part(self) -> None:
        self.info = self._call("open", self._source.open)

    def _work(self) -> None:
        now_ns, put = self.shared.clock.now_ns, self.outboxes[0].put
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
            if frame is None:
                continue
            self.ledger.receive()
            self._check_order(last, frame.meta)
            self.times.record(spent)
            put(Envelope(frame))
            self.ledger.settle(1)
            last = frame.meta

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
        super()._finish()


class StageWorker(Worker):
    """Takes packets from its channel, through the stage, into the next channel or, from the last stage, to all sinks.

    `entrance` is the first stage's channel in a live run: it is told when a frame leaves the line.
    """

    topology: HandTopology | None = None
    entrance: Channel[Envelope] | None = None
    last = False

    def __init__(self, stage: Stage[Any, Any], shared: Shared) -> None:
        super().__init__(stage, shared)
        self._stage = stage

    def _open_part(self) -> None:
        self._call("open", self._stage.open)
        self.topology = self._call("topology", self._stage.topology)

    def _work(self) -> None:
        if self.inbox is None:
            return
        now_ns, take, most, name = self.shared.clock.now_ns, self.inbox.take, self._stage.batch, self.name
        pass_on = self._deliver if self.last else self.outboxes[0].put
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
                self._leave()
                if not self._survives(error, len(envelopes)):
                    raise
                self.ledger.drop_in_hand(FAILED)
                if self.entrance is not None:
                    self.entrance.leave(len(envelopes))
                continue
            spent = (now_ns() - begin) // len(envelopes)
            self._leave()
            self._failures_in_row = 0
            self.times.record(spent, len(envelopes))
            for envelope, packet in zip(envelopes, packets, strict=True):
                envelope.packet = packet
                envelope.stage_ns[name] = spent
                pass_on(envelope)
            passed = len(envelopes)

    def _process(self, envelopes: Sequence[Envelope]) -> Sequence[Any]:
        if len(envelopes) == 1:
            packets: Sequence[Any] = (self._stage.process(envelopes[0].packet),)
        else:
            packets = self._stage.process_many([envelope.packet for envelope in envelopes])
            if len(packets) != len(envelopes):
                raise PipelineError(
                    f"{self.name}: expected process_many to give {len(envelopes)} packets for as many, "
                    f"found {len(packets)}; a stage gives one packet for each that it takes"
                )
        if self.last:
            for packet in packets:
                if not isinstance(packet, FrameResult):
                    raise PipelineError(
                        f"{self.name}: expected the last stage to give FrameResult, found {type(packet).__name__}; "
                        "end the line of stages with one that does"
                    )
        return packets

    def _deliver(self, envelope: Envelope) -> None:
        """From the last stage to every sink."""
        telemetry = self.shared.telemetry
        telemetry.latency.record(self.shared.clock.now_ns() - envelope.captured_ns)
        result: FrameResult = envelope.packet
        telemetry.frames += 1
        telemetry.hands = len(result.hands)
        telemetry.frames_with_hands += bool(result.hands)
        envelope.packet = replace(result, stage_ns={**result.stage_ns, **envelope.stage_ns})
        for outbox in self.outboxes:
            outbox.put(envelope)
        if self.entrance is not None:
            self.entrance.leave(1)


class SinkWorker(Worker):
    """Takes results from its own channel, and news of the run's state."""

    run_info: RunInfo | None = None  # set before it is started

    def __init__(self, sink: Sink, shared: Shared) -> None:
        super().__init__(sink, shared)
        self._news: Status | None = None
        self._sink = sink

    def tell(self, status: Status) -> None:
        """Have the sink told the state of the run, in its own thread, as soon as it is free. Newest news only."""
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
            except Exception as error:
                self._leave()
                if not self._survives(error, 1):
                    raise
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
        except Exception as error:
            self._leave()
            if not self._survives(error, 1):
                raise

    def _finish(self) -> None:
        self.shared.final.wait()
        self._call("status", self._sink.status, self.shared.final_status)
        super()._finish()
