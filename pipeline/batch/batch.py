"""A batch runs many sources, one after another or some at once. What becomes of one does not touch the others."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hamba_core.errors import BrokenSourceError, ConfigurationError, HambaError, OutputError, SourceError, WireError
from hamba_core.text import address_of
from pipeline.batch.display import BatchLines, outcomes_tree, print_outcomes
from pipeline.batch.process_pool import perform_all
from pipeline.batch.task import Outcome, Task
from pipeline.outputs import folders_of, holds_results
from pipeline.settings import Settings, flat_settings
from pipeline.terminal import INTERRUPTED, missing_exports, print_json
from stages.common.terminal import Terminal
from stages.recording import RECORDING, RecordedRun, read_recording
from stages.sources import source_for
from stages.sources.paths import holds_pictures, videos_of

if TYPE_CHECKING:
    from stages.export import ExportSettings


def run_batch(
    sources: Sequence[str],
    settings: Settings,
    exports: "ExportSettings | None" = None,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    jobs: int = 1,
    as_json: bool = False,
) -> int:
    """Run all sources and report: lines for people on standard error, JSON on standard output if asked.

    Gives the exit status: 0 where nothing failed, 3 where something did and the rest is done, 2 where nothing is done,
    130 after Ctrl-C. Raises what `plan` raises, before any work.
    """
    if jobs > 1 and settings.publish.address is not None:
        raise ConfigurationError("--jobs: expected one job where hands are published, since all would share an address")
    if jobs > 1 and sys.platform == "win32":
        raise ConfigurationError(
            f"--jobs: expected 1 on Windows, where videos are done one after another, found {jobs}; hamba corpus does "
            "several at once"
        )
    tasks, outcomes = plan(sources, settings, exports, out=out, overwrite=overwrite, resume=resume)
    start = time.monotonic()
    console = Terminal(stderr=True, quiet=as_json)
    with BatchLines(console, sources) as lines:

        def ended(outcome: Outcome) -> None:
            outcomes.append(outcome)
            lines.ended(outcome)

        for outcome in outcomes:
            lines.ended(outcome)
        finished = perform_all(tasks, jobs, lines.update, ended)
    outcomes.sort(key=lambda outcome: outcome.task.number)
    print_outcomes(console, outcomes, len(sources), time.monotonic() - start)
    status = _exit_status(outcomes) if finished else INTERRUPTED
    if as_json:
        print_json(outcomes_tree(outcomes, status))
    return status


def _exit_status(outcomes: Sequence[Outcome]) -> int:
    states = {outcome.state for outcome in outcomes}
    if "failed" not in states:
        return 0
    return BrokenSourceError.exit_status if states & {"done", "skipped"} else HambaError.exit_status


def sources_of(names: Sequence[str]) -> list[str]:
    """Return every source that is named, once.

    A folder or pattern of videos stands for each of them. If there are pictures too, those are one source, before them.
    """
    found: dict[str, None] = {}
    for name in names:
        videos = [str(path) for path in videos_of(name)]
        if not videos or holds_pictures(name):
            found[name] = None
        found.update(dict.fromkeys(videos))
    return list(found)


def plan(
    sources: Sequence[str],
    settings: Settings,
    exports: "ExportSettings | None",
    *,
    out: Path | None,
    overwrite: bool,
    resume: bool,
) -> tuple[list[Task], list[Outcome]]:
    """Return what is to be done, and what an earlier batch has done.

    Each source has the folder of its name in `out`, or in out/. To `resume` is to go by the recording in it: one whose
    report says that its run ended is not made again; where its settings were others, its outcome says so. Raises
    ConfigurationError for what cannot be in a batch, OutputError where results of something else would be lost.
    """
    _check(sources, settings, resume=resume)
    tasks: list[Task] = []
    skipped: list[Outcome] = []
    for number, (source, folder) in enumerate(folders_of(sources, out, anew=not (overwrite or resume))):
        task = Task(number, source, folder, settings, exports, replace=overwrite)
        if holds_results(folder) and not overwrite:
            if not resume:
                raise OutputError(
                    f"{folder} already holds the results of a run, and they are not overwritten: --resume goes on with "
                    "what is not finished, --overwrite makes all anew, --out names another folder"
                )
            run = _finished_run(folder, source)
            if run is None:
                again = exports and exports.model_copy(update={"overwrite": True})
                task = Task(number, source, folder, settings, again, replace=True)
            else:
                other = _other_settings(run, settings)
                missing = missing_exports(folder, exports.formats) if exports else ()
                if other or not exports or not missing:
                    skipped.append(Outcome(task, "skipped", other))
                    continue
                wanted = exports.model_copy(update={"formats": missing})
                task = Task(number, source, folder, settings, wanted, reconstruct=False)
        tasks.append(task)
    return tasks, skipped


def _check(sources: Sequence[str], settings: Settings, *, resume: bool) -> None:
    for source in sources:
        try:
            live = source_for(source).live
        except HambaError:
            continue  # its own task will fail, and say so
        if live:
            raise ConfigurationError(
                f"{source}: expected files beside one another, found a live one; run it by itself, or with other live "
                "ones alone, without --resume and --jobs"
            )
    if resume and not settings.record.enabled:
        raise ConfigurationError("--resume: expected recordings to go by, found record.enabled=false")


def _finished_run(folder: Path, source: str) -> RecordedRun | None:
    """Return the run in the folder's recording if it came to its end. Raises OutputError if its source is another."""
    path = folder / RECORDING
    try:
        if not path.exists():
            raise OutputError(
                f"{folder} holds results without a recording, so that nothing tells whether they are finished: "
                "--overwrite makes all anew, --out names another folder"
            )
        recording = read_recording(path)
        status = recording.last_status()
    except (SourceError, WireError):
        return None  # it was killed before anything was in it
    recorded = recording.run.source.name
    if recorded != address_of(source) and Path(recorded).resolve() != Path(source).resolve():
        raise OutputError(
            f"{folder} holds the results of {recorded}, expected those of {source}: --overwrite makes all anew, "
            "--out names another folder"
        )
    return recording.run if status is not None and status.state == "ended" else None


def _other_settings(run: RecordedRun, settings: Settings) -> str:
    """Return words on how this run's settings differ from these; empty where they do not."""
    earlier = set(flat_settings(run.settings))
    now = set(flat_settings(settings.model_dump(mode="json", exclude_defaults=True)))
    if earlier == now:
        return ""
    told = ", ".join(sorted(earlier - now)) or f"without {', '.join(sorted(now - earlier))}"
    return f"with other settings ({told}); --overwrite makes it anew"
