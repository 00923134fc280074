"""A source's hands as an iterator, out of a run with all its threads."""

import atexit
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Thread, current_thread
from typing import Final, Self, Unpack
from weakref import WeakSet

from hamba_core.errors import OutputError, SourceError
from pipeline.assembly import assemble
from pipeline.face.options import Camera, Options, settings_of
from pipeline.outputs import prepare_folder
from pipeline.runtime import Runner, SinkPolicy
from pipeline.settings import Settings
from stages.contract import EndOfStream, Sink
from stages.packets import FrameResult, RunInfo, Status
from stages.sources import source_for


def track_hands(
    source: str | int | Path,
    /,
    settings: Settings | str | Path | None = None,
    *,
    intrinsics: Camera | None = None,
    out: str | Path | None = None,
    **options: Unpack[Options],
) -> "TrackedHands":
    """Iterate over the hands of a video, pictures, a camera or a stream, frame by frame, while its run goes on.

        for result in track_hands("clip.mp4"):
            for hand in result.hands:
                print(result.frame.pts, hand.side, hand.joints[8])  # the index finger's tip, metres

    A file gives every frame, and waits for the loop. A live source gives the newest frame each time, and counts those
    that the loop was too slow for. Leaving the loop ends the run and all its threads.

    `settings` is an object, a preset or a YAML file ("live" or "offline" by the source if left out); `options` are
    settings by keyword; `intrinsics` is the camera, `Intrinsics` or a matrix (3, 3), pixels, estimated if left out;
    `out` is a folder for a recording and whatever else settings ask for.

    Raises SourceError, ConfigurationError and OutputError at once. What ends the run early is raised in the loop, after
    the last result.
    """
    if isinstance(source, bool) or not isinstance(source, str | int | Path):
        raise SourceError(
            f"source: expected a name, an address or a camera's number, found {type(source).__name__}; "
            "for pictures of your own use HandPipeline"
        )
    if out == "":
        raise OutputError("out: expected the name of a folder, found an empty one, which would stand for this folder")
    name = str(source)
    live = source_for(name).live
    chosen, estimator = settings_of(settings, options, intrinsics, preset="live" if live else "offline")
    folder = None if out is None else Path(out)
    if folder is not None:
        prepare_folder(folder, overwrite=False)
    handover = _Handover()
    runner = assemble(
        source_for(name, chosen.source, stream=chosen.stream),
        chosen,
        out=folder,
        sinks=[handover],
        sink_policies={handover.name: SinkPolicy("latest", 1)} if chosen.mode == "live" else None,
        estimator=None if estimator is None else estimator(),
    )
    return TrackedHands(runner, handover)


class TrackedHands(Iterator[FrameResult]):
    """The results of a run that begins with the first of them. A `with` block, `close` or the loop's end ends it."""

    def __init__(self, runner: Runner, handover: "_Handover") -> None:
        self._run = _Run(runner, handover)

    @property
    def run(self) -> RunInfo | None:
        """The source, the mesh's faces (`run.topology`) and what else is known, once the first result is there."""
        return self._run.handover.run

    @property
    def report(self) -> Status:
        """The state of the run; its report once it is over: frames, drops by cause, times, choices."""
        return self._run.runner.status()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> FrameResult:
        self._run.begin()
        result = self._run.handover.take()
        if result is not None:
            return result
        self.close()
        error, self._run.error = self._run.error, None
        if error is not None:
            raise error
        raise StopIteration

    def close(self) -> None:
        """End the run, and wait until its threads have ended. What it was about to give is dropped."""
        self._run.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.close()


_OPEN: Final[WeakSet["_Run"]] = WeakSet()
"""Runs that a program may leave open when it ends."""


class _Run:
    """A runner in a thread of its own, which knows nothing of the iterator, so that leaving the loop frees that."""

    def __init__(self, runner: Runner, handover: "_Handover") -> None:
        self.runner, self.handover = runner, handover
        self.error: BaseException | None = None
        self._thread = Thread(target=self._work, name="hamba run", daemon=True)
        self._begun = self._ended = False

    def begin(self) -> None:
        if not self._begun and not self._ended:
            self._begun = True
            _OPEN.add(self)
            self._thread.start()

    def end(self) -> None:
        self._ended = True
        self.handover.let_go()
        self.runner.stop()
        if self._begun and current_thread() is not self._thread:
            self._thread.join()

    def _work(self) -> None:
        try:
            self.runner.run()
        except BaseException as error:  # noqa: BLE001 - raised in the loop
            self.error = error
        finally:
            self.handover.let_go()


@atexit.register
def _end_all() -> None:
    """End the runs that are still open, so that their files are finished and no thread is left in a library."""
    for run in list(_OPEN):
        run.end()


class _Handover(Sink):
    """Passes results from the run's thread to the loop's, one at a time.

    `write` returns when the loop asks for the next result, so that the runner takes that from its channel only then:
    live, the newest, with the drops in the channel's books.
    """

    name = "loop"
    patient = True

    def __init__(self) -> None:
        self.run: RunInfo | None = None
        self._changed = Condition()
        self._result: FrameResult | None = None
        self._asked = 0  # results that the loop has asked for
        self._written = 0
        self._over = False

    def open(self, run: RunInfo) -> None:
        self.run = run

    def write(self, result: FrameResult) -> None:
        with self._changed:
            self._written += 1
            self._result = result
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._asked > self._written or self._over)
            if self._over:
                raise EndOfStream

    def take(self) -> FrameResult | None:
        """Return the next result, as soon as it is there; none once the run is over."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._result is not None or self._over)
            result, self._result = self._result, None
            return result

    def let_go(self) -> None:
        """Let both sides go: nothing more is asked for, or nothing more comes."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
