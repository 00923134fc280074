"""What a person at a terminal sees of a batch: a bar for all, one for each source at work, and what came of each."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from hamba_core.text import counted, readable
from pipeline.batch.task import Outcome, Progress as News, State
from pipeline.terminal import fallback_text
from stages.packets import Choice

_COLOURS: Final[dict[State, str]] = {"done": "green", "skipped": "dim", "failed": "red", "stopped": "yellow"}

_RECONSTRUCTING: Final = 0.9  # of the work on a source, and the rest is exporting


class BatchLines:
    """Lines that are redrawn while a batch goes on; without a terminal, a line for each source that has ended."""

    def __init__(self, console: Console, sources: Sequence[str]) -> None:
        self._console = console
        self._sources = sources
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[line]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._all = self._progress.add_task("all sources", total=len(sources), line="")
        self._running: dict[int, TaskID] = {}
        self._shares: dict[int, float] = {}
        self._ended = 0
        self._fallbacks_said: set[Choice] = set()

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(self, news: News) -> None:
        """Show how far a source is, and each fallback once, for good."""
        if news.number not in self._running:
            self._running[news.number] = self._progress.add_task("", total=1, line="")
        self._tell_fallbacks(news.status.choices if news.status else ())
        share = news.share or 0.0
        self._shares[news.number] = (
            _RECONSTRUCTING + (1 - _RECONSTRUCTING) * share if news.doing == "exporting" else _RECONSTRUCTING * share
        )
        name = Path(self._sources[news.number]).name
        self._progress.update(
            self._running[news.number],
            description=name if news.doing == "reconstructing" else f"{news.doing} {name}",
            total=None if news.share is None else 1,
            completed=share,
            line=f"{news.status.rate:.1f} frames/s" if news.status else "",
        )
        self._show_all()

    def ended(self, outcome: Outcome) -> None:
        """Say what came of a source, for good."""
        number = outcome.task.number
        if number in self._running:
            self._progress.remove_task(self._running.pop(number))
        self._shares.pop(number, None)
        self._ended += 1
        if outcome.report is not None:  # one that was short may have told of nothing before
            self._tell_fallbacks(msgspec.convert(outcome.report["choices"], tuple[Choice, ...]))
        self._console.print(
            Text.assemble(
                f"[{self._ended}/{len(self._sources)}] ",
                (outcome.state, _COLOURS[outcome.state]),
                " ",
                *_outcome_parts(outcome),
            ),
            highlight=False,
            soft_wrap=True,
        )
        self._show_all()

    def _tell_fallbacks(self, choices: Sequence[Choice]) -> None:
        for choice in choices:
            if choice.fallback and choice not in self._fallbacks_said:
                self._fallbacks_said.add(choice)
                self._console.print(fallback_text(choice), style="yellow", highlight=False, markup=False)

    def _show_all(self) -> None:
        done = self._ended + sum(self._shares.values())
        self._progress.update(self._all, completed=done, line=f"{self._ended}/{len(self._sources)}")


def print_outcomes(console: Console, outcomes: Sequence[Outcome], sources: int, elapsed: float) -> None:
    """Print how the sources came out, and why some failed. `elapsed` is in seconds."""
    counts = Counter(outcome.state for outcome in outcomes)
    parts = [f"{counts[state]} {state}" for state in _COLOURS if counts[state]]
    if left := sources - len(outcomes):
        parts.append(f"{left} not begun")
    go_on = "; --resume goes on with the rest" if left or counts["stopped"] else ""
    console.print(
        Text.assemble(
            (f"{counted(sources, 'source')}", "bold"),
            f": {', '.join(parts)}, in {elapsed:.1f} s{go_on}",
        ),
        highlight=False,
    )
    for outcome in outcomes:
        if outcome.state == "failed":
            console.print(
                Text.assemble(("failed", "red"), " ", *_outcome_parts(outcome)), highlight=False, soft_wrap=True
            )


def _outcome_parts(outcome: Outcome) -> Iterator[str | tuple[str, str]]:
    """Return what came of a source, in parts with their style."""
    source, folder = readable(outcome.task.source), outcome.task.folder
    if outcome.state == "skipped":
        yield f"{source}: finished before, in {folder}"
        if outcome.reason:
            yield ", "
            yield outcome.reason, "yellow"
        return
    frames = "" if outcome.report is None else f"{counted(outcome.report['frames'], 'frame')}, "
    if outcome.state == "done":
        found = outcome.reason or _hands_in(outcome) or "exported"
        yield f"{source}: {frames}{found}, in {folder}"
        return
    kept = f" ({frames}kept in {folder})" if frames and outcome.written else ""
    reason = outcome.reason.removeprefix(f"{outcome.task.source}: ")
    yield f"{source}: {reason}{kept}" if reason else f"{source}{kept}"


def _hands_in(outcome: Outcome) -> str:
    if outcome.report is None:
        return ""
    count = outcome.report["frames_with_hands"]
    return f"hands in {count} of them" if count else "no hands in them"


def outcomes_tree(outcomes: Sequence[Outcome], exit_status: int) -> dict[str, Any]:
    """Return all outcomes for JSON. A source's `report` is null where its run never began, or was not needed."""
    return {
        "sources": [
            {
                "source": outcome.task.source,
                "folder": outcome.task.folder,
                "state": outcome.state,
                "reason": outcome.reason,
                "written": outcome.written,
                "report": outcome.report,
            }
            for outcome in outcomes
        ],
        "exit_status": exit_status,
    }
