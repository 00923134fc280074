"""How far a corpus is: a line in the terminal, and numbers in Ray's dashboard."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hamba_core.text import counted

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.corpus.totals import Totals

_LINE_EVERY: Final = 30.0  # s, where there is no terminal


@contextmanager
def corpus_progress(console: "Console") -> "Iterator[Callable[[Totals], None]]":
    """Show videos, hands a second, time left and failures; without a terminal, a line every half minute."""
    start = told = monotonic()
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def on_totals(totals: "Totals") -> None:
            nonlocal told
            ended = totals.skipped + totals.done + totals.failed
            words = progress_words(totals, monotonic() - start)
            bar.update(task, completed=ended, total=ended + totals.left, description=words)
            if not console.is_terminal and monotonic() - told > _LINE_EVERY:
                told = monotonic()
                console.print(f"{ended:,} of {ended + totals.left:,} videos, {words}", highlight=False)

        yield on_totals


def progress_words(totals: "Totals", seconds: float) -> str:
    """Return rates, workers and failures by kind in a few words."""
    words = [f"{totals.hands / seconds:,.0f} hands/s" if seconds > 0 else "", counted(totals.workers, "worker")]
    if totals.segments:
        words.append(counted(totals.segments, "segment"))
    if totals.deaths:
        words.append(f"{totals.deaths} died")
    words += [f"{count} x {reason}" for reason, count in totals.reasons.most_common(2)]
    return ", ".join(word for word in words if word)


def ending_words(totals: "Totals") -> str:
    """Return what was worked, and by how many, in a few words."""
    words = [counted(totals.frames, "frame"), counted(totals.hands, "hand"), counted(totals.workers, "worker")]
    return ", ".join(words + ([f"{totals.deaths} died"] if totals.deaths else []))


class RayMetrics:
    """It gives the totals to Ray, which shows them in its dashboard and to Prometheus."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Gauge

        self._videos: Any = Counter("hamba_corpus_videos", description="Videos that ended", tag_keys=("state",))
        self._frames: Any = Counter("hamba_corpus_frames", description="Frames of the videos that ended")
        self._hands: Any = Counter("hamba_corpus_hands", description="Hands in the tables")
        self._deaths: Any = Counter("hamba_corpus_worker_deaths", description="Workers that died")
        self._workers: Any = Gauge("hamba_corpus_workers", description="Workers there are, or are asked for")
        self._counted: dict[str, int] = {}

    def tell(self, totals: "Totals") -> None:
        """Tell Ray what has changed."""
        self._workers.set(totals.workers)
        for counter, name, tags in (
            (self._videos, "done", {"state": "done"}),
            (self._videos, "failed", {"state": "failed"}),
            (self._frames, "frames", {}),
            (self._hands, "hands", {}),
            (self._deaths, "deaths", {}),
        ):
            more = getattr(totals, name) - self._counted.get(name, 0)
            if more > 0:
                counter.inc(more, tags=tags)
                self._counted[name] = getattr(totals, name)
