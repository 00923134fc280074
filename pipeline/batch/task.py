"""A task is one source and what is to become of it; an outcome is what became of it.

Processes of a batch and a cluster's workers do the same tasks.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hamba_core.errors import HambaError, NoHandsError
from pipeline.terminal import run_stoppable, with_notes

if TYPE_CHECKING:
    from pipeline.runtime import Runner
    from pipeline.settings import Settings
    from stages.export import ExportSettings
    from stages.packets import Status
    from stages.reconstruction.hamba import SharedModel

_TELL_EVERY = 0.2  # s, of progress

State = Literal["done", "skipped", "failed", "stopped"]


@dataclass(frozen=True)
class Task:
    """A source and what is to become of it."""

    number: int  # its place in the batch
    source: str
    folder: Path
    settings: "Settings"
    exports: "ExportSettings | None"
    reconstruct: bool = True  # false where the recording is there and exports are missing
    replace: bool = False  # what is in the folder is an earlier run's, to be replaced


@dataclass(frozen=True)
class Progress:
    """How far a task is."""

    number: int
    doing: str
    share: float | None  # 0..1; none where the length is unknown
    status: "Status | None" = None


@dataclass(frozen=True)
class Outcome:
    """How a task ended."""

    task: Task
    state: State
    reason: str = ""  # why it failed, or what is to be known of one that did not
    report: dict[str, Any] | None = None  # the run's, as JSON has it; none where it did not get that far
    written: tuple[Path, ...] = ()
    last: bool = False  # its process is no good for another task, and ends


def perform(
    task: Task,
    tell: Callable[[Progress], None],
    *,
    run: "Callable[[Runner, Path | None], None]" = run_stoppable,
    shared: "SharedModel | None" = None,
) -> Outcome:
    """Do a task, and tell how it goes. Raises nothing but the KeyboardInterrupt of a second Ctrl-C.

    `run` runs the pipeline to its end: as a rule until Ctrl-C, which only a main thread can hear. Tasks of one process
    that are done at once can use one `shared` network.
    """
    outcome = Outcome(task, "done")
    try:
        if task.reconstruct:
            outcome = _reconstructed(task, tell, run, shared)
        if outcome.state == "done" and task.exports is not None:
            outcome = replace(outcome, written=(*outcome.written, *_exported(task, tell)))
    except NoHandsError:
        return replace(outcome, reason="no hands, and so nothing to export")
    except KeyboardInterrupt:
        return replace(outcome, state="stopped")
    except HambaError as error:
        return replace(outcome, state="failed", reason=with_notes(str(error), error))
    except Exception as error:  # noqa: BLE001 - the others of the batch go on, and the person is told
        reason = f"unexpected {type(error).__name__}: {error}; this should not happen: run it alone, with --debug"
        return replace(outcome, state="failed", reason=reason)
    return outcome


def _reconstructed(
    task: Task,
    tell: Callable[[Progress], None],
    run: "Callable[[Runner, Path | None], None]",
    shared: "SharedModel | None",
) -> Outcome:
    from pipeline.assembly import assemble
    from pipeline.outputs import prepare_folder
    from pipeline.terminal import report_tree, written_in
    from stages.packets import SourceInfo
    from stages.sources import source_for

    expected: int | None = None

    def opened(info: SourceInfo) -> None:
        nonlocal expected
        expected = info.frames

    def on_status(status: "Status") -> None:
        share = min(status.frames / expected, 1.0) if expected else None
        tell(Progress(task.number, "reconstructing", share, status))

    tell(Progress(task.number, "opening", 0.0))
    source = source_for(task.source, task.settings.source, stream=task.settings.stream)
    prepare_folder(task.folder, overwrite=task.replace)
    runner = assemble(source, task.settings, out=task.folder, on_open=opened, on_status=on_status, shared=shared)
    reason = ""
    try:
        run(runner, task.folder)
    except HambaError as error:
        if runner.report is None:
            raise
        reason = with_notes(str(error), error)
    status = runner.report or runner.status()
    written = tuple(written_in(task.folder))
    state: State = "failed" if reason else "stopped" if status.state == "stopped" else "done"
    return Outcome(task, state, reason, report_tree(status, list(written)), written)


def _exported(task: Task, tell: Callable[[Progress], None]) -> list[Path]:
    from pipeline.terminal import export_results

    told = 0.0

    def on_progress(share: float) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_EVERY:
            told = time.monotonic()
            tell(Progress(task.number, "exporting", share))

    if task.exports is None:
        return []
    return export_results(task.folder, task.exports, on_progress)
