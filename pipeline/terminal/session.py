"""A session is one run as a person starts it: shown while it goes, stopped by Ctrl-C, reported at its end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.assembly import assemble
from pipeline.outputs import prepare_folder, remove_empty_results
from pipeline.runtime import Runner
from pipeline.settings import Settings
from pipeline.terminal.display import LiveLine, live_progress, print_report, share_bar
from pipeline.terminal.documents import keep_report, print_json
from pipeline.terminal.run_exports import export_results
from stages.common.plain import plain
from stages.common.stop_signals import stopped_by_signals
from stages.common.terminal import Terminal
from stages.contract import Source
from stages.export import ExportSettings
from stages.packets import Status


def run_session(
    source: Source,
    settings: Settings,
    *,
    out: Path | None = None,
    exports: ExportSettings | None = None,
    overwrite: bool = False,
    as_json: bool = False,
    on_status: Callable[[Status], None] = lambda status: None,
) -> Status:
    """Run to the end, export into `out` what is asked for, and report: a table on standard error, or JSON on standard
    output.

    An offline run that was stopped is not exported. `on_status` is told the run's numbers once a second. Raises what
    the run or the export raised, after the report.
    """
    if out is not None:
        prepare_folder(out, overwrite=overwrite)
    console = Terminal(stderr=True, quiet=as_json)
    exported: list[Path] = []
    with live_progress(console) as progress:
        line = LiveLine(progress)

        def tell(status: Status) -> None:
            line.update(status)
            on_status(status)

        runner = assemble(source, settings, out=out, on_open=line.opened, on_status=tell, on_step=line.opening)

        def report() -> dict[str, Any] | None:
            """Tell how the run went, if there is anything to tell; gives the same for programs."""
            progress.stop()
            status = runner.report
            if status is None or (status.state == "failed" and not status.frames):
                return None
            written = sorted({*written_in(out), *exported})
            print_report(console, status, [str(path) for path in written], live=settings.mode == "live")
            return report_tree(status, written)

        try:
            run_stoppable(runner, out)
            progress.stop()
            early = settings.mode == "offline" and runner.status().state == "stopped"
            if exports is not None and out is not None and early:
                console.print(
                    f"stopped early, and not exported: hamba export {out} --to {','.join(exports.formats)}",
                    highlight=False, markup=False, soft_wrap=True,
                )  # fmt: skip
            elif exports is not None and out is not None:
                with share_bar(console, "exporting") as on_progress:
                    exported = export_results(out, exports, on_progress)
        except BaseException as error:
            if (tree := report()) is not None:
                keep_report(error, tree)
            raise
        if (tree := report()) is not None and as_json:
            print_json(tree)
    return runner.report or runner.status()


def run_stoppable(runner: Runner, out: Path | None) -> None:
    """Run to the end, or until Ctrl-C or SIGTERM stops the run."""
    with stopped_by_signals(runner.stop):
        run_tidily(runner, out)


def run_tidily(runner: Runner, out: Path | None) -> None:
    """Run to the end. If no frame ever came, remove what was begun in `out`."""
    try:
        runner.run()
    finally:
        status = runner.report
        if out is not None and (status is None or (status.state == "failed" and not status.frames)):
            remove_empty_results(out)


def written_in(out: Path | None) -> list[Path]:
    """Return the files of a run, in the order of their names."""
    return sorted(path for path in out.iterdir() if path.is_file()) if out is not None and out.is_dir() else []


def report_tree(status: Status, written: list[Path]) -> dict[str, Any]:
    """Return the report for JSON, in which NaN and infinity are null."""
    return {**plain(status), "written": plain(written)}
