"""What a person at a terminal sees of a run: a live line while it goes and a report at its end."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import isnan

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from hamba_core.text import counted
from stages.packets import Choice, Percentiles, SourceInfo, SourceStatus, Status


def live_progress(console: Console) -> Progress:
    """Return the display that live lines are drawn in, to be started and stopped. It is silent without a terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[line]}", markup=False),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


_NO_HANDS = (
    "If there are hands: are they whole in the picture, lit, not blurred, and as large as a tenth of it? "
    "--set detect.min_detection_score=0.3 takes fainter ones; a hand that fills the picture is found from farther away."
)


class LiveLine:
    """One line that is redrawn: progress for files; frames/s, latency, drops and hands for all sources.

    Other threads may update it. Lines that share `said` tell each fallback once among them.
    """

    def __init__(self, progress: Progress, said: set[Choice] | None = None) -> None:
        self._progress = progress
        self._task = progress.add_task("opening", total=None, line="")
        self._fallbacks_said: set[Choice] = set() if said is None else said

    def opening(self, step: str) -> None:
        """Show what takes its time before frames flow."""
        self._progress.update(self._task, description=f"opening: {step}")

    def opened(self, source: SourceInfo) -> None:
        """Show the name and length of the source, which is open now."""
        self._progress.update(self._task, description=source.name, total=source.frames)

    def update(self, status: Status) -> None:
        """Show the newest numbers, and each fallback once, for good."""
        for choice in status.choices:
            if choice.subject == "publish" and not choice.fallback and choice not in self._fallbacks_said:
                self._fallbacks_said.add(choice)  # at once, also where a log is all that is seen
                self._progress.console.print(
                    f"publishing on {choice.chosen}: {choice.reason}", highlight=False, markup=False, soft_wrap=True
                )
            if choice.fallback and choice not in self._fallbacks_said:
                self._fallbacks_said.add(choice)
                self._progress.console.print(fallback_text(choice), style="yellow")
        self._progress.update(self._task, completed=status.frames, line=status_line(status))


@contextmanager
def share_bar(console: Console, doing: str) -> Iterator[Callable[[float], None]]:
    """Show a bar for work that tells the share that is done, 0 to 1. It is silent without a terminal."""
    columns = (
        TextColumn(doing, markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda share: progress.update(task, completed=share)


def status_line(status: Status) -> str:
    """Return frames/s, latency, drops and hands of this moment in a few words; first, a source that is not as usual."""
    source = status.source
    parts = [] if source is None or source.state == "live" else [source_words(source)]
    parts.append(f"{status.rate:.1f} frames/s")
    if not isnan(status.latency.p50):
        parts.append(f"latency {status.latency.p50:.0f} ms")
    dropped = sum(sum(stage.dropped.values()) for stage in status.stages)
    parts.append(f"{dropped} dropped")
    parts.append(f"{counted(status.hands, 'hand')}")
    if status.doing:
        parts.append(", ".join(status.doing))
    return "  ".join(parts)


def source_words(source: SourceStatus) -> str:
    """Return the state of a live source in words, as `lost for 3 s (connection refused)`."""
    reason = f" ({source.reason})" if source.reason else ""
    return f"{source.state} for {source.seconds:.0f} s{reason}"


def fallback_text(choice: Choice) -> str:
    """Return words on a fallback: what is used instead, and why."""
    return f"{choice.subject}: {choice.chosen}. {choice.reason}"


def print_report(
    console: Console, status: Status, written: Sequence[str], *, live: bool = False, told: bool = True
) -> None:
    """Print the report of a run: what came out, what each stage took and dropped, what was chosen and why.

    `told` says that the person has seen the run, and with it why it failed and the reasons of fallbacks. Latency is
    printed for `live` runs only, since a file waits for the run.
    """
    ending = {"ended": "done", "stopped": "stopped", "failed": "failed"}.get(status.state, status.state)
    found = f"hands in {status.frames_with_hands} of them" if status.frames_with_hands else "no hands in them"
    latency = f", latency p50 {_ms(status.latency.p50)}, p99 {_ms(status.latency.p99)} ms" if live else ""
    console.print(
        Text.assemble(
            (ending, "bold"),
            f": {counted(status.frames, 'frame')}, {found}, "
            f"in {status.elapsed:.1f} s ({status.rate:.1f} frames/s){latency}",
        )
    )
    if status.frames and not status.frames_with_hands:
        console.print(_NO_HANDS, style="yellow", highlight=False, markup=False)
    if status.reason and not told:
        console.print(f"because {status.reason}", style="yellow", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("stage")
    for name in ("frames in", "out", "p50 ms", "p95", "p99", "queue peak"):
        table.add_column(name, justify="right")
    table.add_column("dropped")
    for stage in status.stages:
        table.add_row(
            stage.name,
            str(stage.received),
            str(stage.emitted),
            *_row(stage.time),
            f"{stage.queue_peak}/{stage.queue_capacity}" if stage.queue_capacity else "",
            ", ".join(f"{count} {cause}" for cause, count in stage.dropped.items() if count),
        )
    console.print(table)
    if status.tracks is not None and status.tracks.births:
        console.print(f"hands: {status.tracks}", style="dim", highlight=False)
    if status.source is not None and status.source.counts:
        happened = ", ".join(f"{kind} {count}" for kind, count in status.source.counts.items())
        console.print(f"source: {happened}", style="yellow", highlight=False, markup=False)
    for error, count in status.errors.items():
        console.print(Text.assemble((f"{count} failed", "yellow"), f" {error}"))
    for choice in status.choices:
        reason = "see above" if choice.fallback and told else choice.reason
        style = "yellow" if choice.fallback else "dim"
        console.print(f"{choice.subject}: {choice.chosen} ({reason})", style=style, highlight=False)
    for path in written:
        console.print(f"wrote {path}", highlight=False, soft_wrap=True)


def _row(time: Percentiles) -> tuple[str, str, str]:
    return _ms(time.p50), _ms(time.p95), _ms(time.p99)


def _ms(value: float) -> str:
    return "-" if isnan(value) else f"{value:.1f}"
