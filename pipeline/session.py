"""One run as a person starts it: opened, shown while it goes, stopped by Ctrl-C, reported at its end."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from pipeline.assembly import assemble
from pipeline.display import LiveLine, print_report
from pipeline.outputs import prepare_folder, remove_empty_results
from pipeline.runner import Runner
from pipeline.settings import Settings
from stages.contract import Source
from stages.packets import Status


def run_session(
    source: Source,
    settings: Settings,
    *,
    out: Path | None = None,
    overwrite: bool = False,
    as_json: bool = False,
) -> Status:
    """Run to the end and report: a table for people on standard error, JSON on standard output if asked.

    Raises what the run raised, after the report of how far it got.
    """
    if out is not None:
        prepare_folder(out, overwrite=overwrite)
    console = Console(stderr=True, quiet=as_json)
    with LiveLine(console) as line:
        runner = assemble(source, settings, out=out, on_open=line.opened, on_status=line.update, on_step=line.opening)
        try:
            with _stopped_by_signals(runner):
                runner.run()
        finally:
            line.__exit__(None, None, None)
            status = runner.report
            if out is not None and (status is None or (status.state == "failed" and not status.frames)):
                remove_empty_results(out)
            if status is not None and (status.frames or status.state != "failed"):
                written = _written(out)
                print_report(console, status, [str(path) for path in written], live=settings.mode == "live")
                if as_json:
                    sys.stdout.write(json.dumps(report_tree(status, written)) + "\n")
    return status or runner.status()


@contextmanager
def _stopped_by_signals(runner: Runner) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run cleanly; a second Ctrl-C does not wait for that."""

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        runner.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _written(out: Path | None) -> list[Path]:
    return sorted(path for path in out.iterdir() if path.is_file()) if out is not None and out.is_dir() else []


def report_tree(status: Status, written: list[Path]) -> dict[str, Any]:
    """The report as JSON has it: NaN and infinity are null."""
    tree = _plain(asdict(status))
    return {**tree, "written": [str(path) for path in written]}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not isfinite(value):
        return None
    return value
