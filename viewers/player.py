"""Publishes a recording again, at its own pace, so that everything that takes live hands can be tried with it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import nan
from typing import TYPE_CHECKING

from stages.contract import Sink
from stages.packets import Choice, ClockAnchor, FrameResult, Percentiles, Status
from stages.wire import HandsMessage

if TYPE_CHECKING:
    from stages.recording import Recording

_STATUS_EVERY_NS = 1_000_000_000
_LONGEST_SLEEP_NS = 100_000_000
_NOTHING = Percentiles(nan, nan, nan)


class Player:
    """Plays a recording into a sink, usually a `Publisher`.

    `rate` 2 is twice as fast. Frames keep their index and time in the source, counted on where a loop starts again;
    they count as captured when they are played. `now_ns` and `sleep` are the clock.
    """

    def __init__(
        self,
        recording: "Recording",
        sink: Sink,
        *,
        rate: float = 1.0,
        loop: bool = False,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._recording = recording
        self._sink = sink
        self._rate = rate
        self._loop = loop
        self._now_ns = now_ns
        self._sleep = sleep
        self._frames = self._hands = 0
        self._begin = self._next_status = 0

    def run(self) -> Status:
        """Play to the end, or for ever; gives the last status. Ctrl-C ends it in order. Raises what the sink raises."""
        clock = ClockAnchor(self._now_ns(), time.time_ns())
        try:
            self._sink.open(replace(self._recording.run_info(), clock=clock))
            state = "ended"
            self._begin = self._next_status = self._now_ns()
            try:
                for due, result in self._timed():
                    self._wait_until(due)
                    now = self._now_ns()
                    self._sink.write(replace(result, frame=replace(result.frame, captured_ns=now)))
                    self._frames, self._hands = self._frames + 1, len(result.hands)
            except KeyboardInterrupt:
                state = "stopped"
            status = self._status(state)
            self._sink.status(status)
            return status
        finally:
            self._sink.close()

    def _timed(self) -> Iterator[tuple[int, FrameResult]]:
        """Results and when they are due, nanoseconds."""
        start, index, pts = self._begin, 0, 0.0  # of this round
        while True:
            first = last = None
            gap, end = 0, None
            for log_time, message in self._recording.messages(["hands"]):
                if not isinstance(message, HandsMessage):
                    continue
                first = log_time if first is None else first
                gap, last = (0 if last is None else log_time - last), log_time
                end = message.result.frame
                frame = replace(end, index=end.index + index, pts=end.pts + pts)
                yield start + round((log_time - first) / self._rate), replace(message.result, frame=frame)
            if not self._loop or first is None or last is None or end is None:
                return
            # The next round begins as long after the last frame as that came after the one before.
            start += round((last - first + gap) / self._rate)
            index, pts = index + end.index + 1, pts + end.pts + gap / 1e9

    def _wait_until(self, due: int) -> None:
        while True:
            now = self._now_ns()
            if now >= self._next_status:
                self._next_status = now + _STATUS_EVERY_NS
                self._sink.status(self._status("running"))
            if now >= due:
                return
            self._sleep(min(due - now, self._next_status - now, _LONGEST_SLEEP_NS) / 1e9)

    def _status(self, state: str) -> Status:
        elapsed = (self._now_ns() - self._begin) / 1e9
        pace = "its own pace" if self._rate == 1 else f"{self._rate:g} times its pace"
        return Status(
            stream=self._recording.run.stream,
            state=state,
            reason="",
            elapsed=elapsed,
            frames=self._frames,
            hands=self._hands,
            rate=self._frames / elapsed if elapsed > 0 else 0.0,
            latency=_NOTHING,
            stages=(),
            choices=(Choice("source", str(self._recording.path), f"a recording, played at {pace}"),),
            errors={},
        )
