"""The remote recorder is a subscriber that records what another process, or another machine, publishes."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path

from hamba_core.text import counted
from stages.packets import Choice, ClockAnchor, FrameMeta, Percentiles, RunInfo, SourceInfo, StageStatus, Status
from stages.recording import RECORDING, Recorder
from stages.wire import HandsMessage, StatusMessage
from viewers.client import HandClient, is_another_run

logger = logging.getLogger(__name__)

_NOTHING = Percentiles(nan, nan, nan)
_BRIEF = 1.0  # s
_MOST_BRIEF = 5
"""So many files in a row that each held a brief run; what then comes under another clock goes on in the same file."""
_TICK = 0.1  # seconds without a message after which the state is looked at


@dataclass(frozen=True)
class RemoteRecording:
    """One recorded run: the file, and the report, which counts what never came as drops of the stage "receive"."""

    path: Path
    status: Status


class RemoteRecorder:
    """It records into `folder` what `client` hears, a file for each run: hands.mcap, hands-2.mcap...

    `go_on` is asked several times a second; once it says no, the recording is finished. A publisher whose clock changes
    within a run, or with every message, gets no file for each: the changes are counted in the report, and frames are
    dated by the clock that came with them.
    """

    def __init__(
        self, client: HandClient, folder: Path, go_on: Callable[["RemoteRecorder"], bool] = lambda recorder: True
    ) -> None:
        self._client = client
        self._folder = folder
        self._go_on = go_on
        self._open: _OpenRecording | None = None
        self._brief = 0  # files in a row

    @property
    def frames(self) -> int:
        """The number of frames in the file that is being written."""
        return 0 if self._open is None else self._open.frames

    def run(self) -> Iterator[RemoteRecording]:
        """Record, and yield each file when it is complete. Ends when the run says that it has, or `go_on` says no.

        A run that falls silent without saying why is waited for; one that comes in its place gets a file of its own.
        Raises OutputError.
        """
        try:
            while self._go_on(self):
                for message in self._client.stream(timeout=_TICK):
                    if self._open is not None and self._is_another(message, self._open):
                        self._brief = self._brief + 1 if self._open.elapsed < _BRIEF else 0
                        yield self._finish(self._open, "failed", "its publisher was started anew")
                    self._write(message)
                    if not self._go_on(self):
                        break
                if self._open is None:
                    continue
                self._pass_status_on(self._open)
                if self._client.state in ("ended", "stopped", "failed"):
                    said = self._client.status.status.reason if self._client.status else ""
                    yield self._finish(self._open, self._client.state, said)
                    return
            if self._open is not None:
                yield self._finish(self._open, "stopped", "")
        finally:
            if self._open is not None:
                self._open.recorder.close()

    def _is_another(self, message: HandsMessage, recording: "_OpenRecording") -> bool:
        if self._brief >= _MOST_BRIEF:
            return False
        return is_another_run(message, recording.clock, recording.expected, self._client.model)

    def _write(self, message: HandsMessage) -> None:
        if self._open is None:
            model = self._client.model
            if model is None:
                return  # cannot be: the model comes first; a broken publisher's hands have no use without it
            path = self._free_path()
            frame = message.result.frame
            source = SourceInfo(
                self._client.address, "network", True, frame.width, frame.height, None, None, frame.camera
            )
            recorder = Recorder(path)
            self._open = _OpenRecording(path, recorder, frame.stream, message.clock, self._client.lost)
            recorder.open(
                RunInfo(frame.stream, source, model.topology, model.estimator, message.clock, model.versions, {})
            )
        self._open.write(message)
        self._pass_status_on(self._open)

    def _free_path(self) -> Path:
        stem, _, suffix = RECORDING.partition(".")
        path, number = self._folder / RECORDING, 2
        while path.exists():
            path, number = self._folder / f"{stem}-{number}.{suffix}", number + 1
        return path

    def _pass_status_on(self, recording: "_OpenRecording") -> None:
        """Record also what the publisher says of itself; its last word becomes part of our own."""
        heard = self._client.status
        if heard is None or heard is recording.heard or heard.clock != recording.clock:
            return
        recording.heard = heard
        if heard.status.state == "running":
            recording.recorder.status(heard.status)

    def _finish(self, recording: "_OpenRecording", state: str, reason: str) -> RemoteRecording:
        self._open = None
        status = recording.report(state, reason, self._client.lost)
        try:
            recording.recorder.status(status)
        finally:
            recording.recorder.close()
        return RemoteRecording(recording.path, status)


@dataclass
class _OpenRecording:
    path: Path
    recorder: Recorder
    stream: str
    clock: ClockAnchor
    lost_before: int
    expected: int = 0  # the number of the next message
    clock_changes: int = 0
    frames: int = 0
    hands: int = 0
    frames_with_hands: int = 0
    heard: StatusMessage | None = None

    def __post_init__(self) -> None:
        self._begin = time.monotonic()
        self._newest_clock = self.clock

    @property
    def elapsed(self) -> float:
        """Return how long it has been written, s."""
        return time.monotonic() - self._begin

    def write(self, message: HandsMessage) -> None:
        result, self.expected = message.result, message.seq + 1
        if message.clock != self._newest_clock:
            self._newest_clock = message.clock
            self.clock_changes += 1
            if self.clock_changes == 1:
                logger.warning(
                    "%s: its publisher names another clock in the middle of its run; the run goes on in the same file, "
                    "and its frames are dated by the clock that comes with each",
                    self.stream,
                )
        if message.clock != self.clock:
            result = replace(result, frame=_by_another_clock(result.frame, message.clock, self.clock))
        self.recorder.write(result)
        self.frames, self.hands = self.frames + 1, len(result.hands)
        self.frames_with_hands += bool(result.hands)

    def report(self, state: str, reason: str, lost: int) -> Status:
        """Return our own report: what was published, came and was lost; choices and errors are the publisher's."""
        lost -= self.lost_before
        elapsed = self.elapsed
        receive = StageStatus("receive", self.frames + lost, self.frames, {"lost": lost}, 0, _NOTHING, 0, 0, 0)
        record = StageStatus("record", self.frames, self.frames, {}, 0, _NOTHING, 0, 0, 0)
        mine = Status(
            stream=self.stream,
            state=state,
            reason=reason,
            elapsed=elapsed,
            frames=self.frames,
            hands=self.hands,
            rate=self.frames / elapsed,
            latency=_NOTHING,
            stages=(receive, record),
            choices=self._choices(),
            errors={},
            frames_with_hands=self.frames_with_hands,
        )
        if self.heard is None:
            return mine
        theirs = self.heard.status
        return replace(mine, latency=theirs.latency, choices=(*theirs.choices, *mine.choices), errors=theirs.errors)

    def _choices(self) -> tuple[Choice, ...]:
        if not self.clock_changes:
            return ()
        return (
            Choice(
                "clock",
                f"changed {counted(self.clock_changes, 'time')}",
                "the publisher's, in the middle of its run; frames are dated by the clock that came with each",
                fallback=True,
            ),
        )


def _by_another_clock(frame: FrameMeta, clock: ClockAnchor, run: ClockAnchor) -> FrameMeta:
    """Return a frame that was captured by `clock` as the clock of its run would say it."""
    captured_ns = frame.captured_ns - clock.monotonic_ns + clock.unix_ns - run.unix_ns + run.monotonic_ns
    return replace(frame, captured_ns=captured_ns) if 0 <= captured_ns < 1 << 63 else frame
