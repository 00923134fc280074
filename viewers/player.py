"""The player publishes a recording again, at its own pace, so that all that takes live hands can be tried with it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
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
    they count as captured when they are played. `now_ns` and `sleep` are the clock. `pause`, `seek`, `jump` and `stop`
    may be called, and the properties read, from another thread.
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
        self._shift = 0  # ns by which pauses and jumps have put off what follows
        self._paused = self._stopped = False
        self._target: float | None = None  # s of the recording, to be gone to
        self._place = 0.0  # s of the recording, of what was played last

    @cached_property
    def duration(self) -> float:
        """The time from the recording's first frame to its last, s."""
        span = self._span
        return (span[1] - span[0]) / 1e9 if span else 0.0

    @cached_property
    def _span(self) -> tuple[int, int] | None:
        return self._recording.span()

    @property
    def place(self) -> float:
        """Where in the recording it is, s."""
        return self._place if (goal := self._target) is None else goal

    @property
    def paused(self) -> bool:
        """Whether it is paused."""
        return self._paused

    def pause(self) -> bool:
        """Pause, or go on; return whether it is paused now."""
        self._paused = not self._paused
        return self._paused

    def seek(self, place: float) -> None:
        """Go on from this place, s; where it is paused, show the frame there and stay."""
        self._target = min(max(0.0, place), self.duration)

    def jump(self, seconds: float) -> None:
        """Go on from so many seconds later, or earlier if they are below 0."""
        self.seek(self.place + seconds)

    def stop(self) -> None:
        """Make `run` end."""
        self._stopped = True

    def run(self) -> Status:
        """Play to the end, or for ever, and return the last status. Ctrl-C ends it in order.

        Raises what the sink raises.
        """
        clock = ClockAnchor(self._now_ns(), time.time_ns())
        try:
            self._sink.open(replace(self._recording.run_info(), clock=clock))
            state = "ended"
            self._begin = self._next_status = self._now_ns()
            try:
                while not self._play():
                    pass
                state = "stopped" if self._stopped else "ended"
            except KeyboardInterrupt:
                state = "stopped"
            status = self._status(state)
            self._sink.status(status)
            return status
        finally:
            self._sink.close()

    def _play(self) -> bool:
        """Play from the beginning or from where somebody goes, until somebody goes elsewhere; return whether it ended.

        What lies between is not read.
        """
        goal, self._target = self._goal(), None
        arriving = goal is not None
        for due, place, result in self._timed(goal or 0.0):
            if arriving:
                self._shift = self._now_ns() - due
            else:
                self._wait_until(due)
            if self._stopped:
                return True
            if self._goal() is not None:
                return False
            arriving = False
            self._place = place
            now = self._now_ns()
            self._sink.write(replace(result, frame=replace(result.frame, captured_ns=now)))
            self._frames, self._hands = self._frames + 1, len(result.hands)
        return self._goal() is None

    def _goal(self) -> float | None:
        """Return where somebody wants to go, s of the recording; None if nobody does."""
        return self._target

    def _timed(self, begin: float) -> Iterator[tuple[int, float, FrameResult]]:
        """Yield when a result is due, ns, where it is in the recording, s, and the result; from a place, s, on."""
        start, index, pts = self._begin, 0, 0.0  # of this round
        span = self._span
        if span is None:
            return
        first, last = span
        while True:
            before, gap, end = None, 0, None
            for log_time, message in self._recording.messages(["hands"], since=first + round(begin * 1e9)):
                if not isinstance(message, HandsMessage):
                    continue
                gap, before = (gap if before is None else log_time - before), log_time
                end = message.result.frame
                frame = replace(end, index=end.index + index, pts=end.pts + pts)
                due, place = start + round((log_time - first) / self._rate), (log_time - first) / 1e9
                yield due, place, replace(message.result, frame=frame)
            if not self._loop or end is None:
                return
            # The next round begins as long after the last frame as that came after the one before.
            start += round((last - first + gap) / self._rate)
            index, pts, begin = index + end.index + 1, pts + end.pts + gap / 1e9, 0.0

    def _wait_until(self, due: int) -> None:
        while True:
            now = self._now_ns()
            if now >= self._next_status:
                self._next_status = now + _STATUS_EVERY_NS
                self._sink.status(self._status("running"))
            if self._stopped or self._target is not None:
                return
            if self._paused:
                self._sleep(_LONGEST_SLEEP_NS / 1e9)
                self._shift += self._now_ns() - now
                continue
            wait = due + self._shift - now
            if wait <= 0:
                return
            self._sleep(min(wait, self._next_status - now, _LONGEST_SLEEP_NS) / 1e9)

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
