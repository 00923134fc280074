"""`hamba corpus`: thousands of videos on a Ray cluster."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from hamba_core.errors import BrokenSourceError, HambaError
from pipeline.commands import run_options as options

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.corpus import Totals


def corpus(
    source: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Videos, folders, globs, s3://bucket/folder/, or manifests (CSV, JSONL, Parquet).",
        ),
    ],
    out: Annotated[str, typer.Option(help="Folder for the results, or an address such as s3://bucket/folder.")],
    preset: options.Preset = None,
    set_: options.Set = None,
    checkpoint: options.Checkpoint = None,
    address: Annotated[
        str | None,
        typer.Option(help="The Ray cluster: auto, or ray://HOST:10001. \\[default: this machine]", show_default=False),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Worker processes. \\[default: as many as there is room for]", show_default=False),
    ] = None,
    cpus: Annotated[float, typer.Option(help="CPU cores per worker.")] = 1.0,
    gpus: Annotated[float, typer.Option(help="GPUs per worker: 1, or a share such as 0.25.")] = 0.0,
    at_once: Annotated[
        int,
        typer.Option(min=1, help="Videos that a worker processes at once; their hands share its network's batches."),
    ] = 1,
    attempts: Annotated[int, typer.Option(min=1, help="Attempts at a video whose worker dies.")] = 3,
    segment: Annotated[
        float,
        typer.Option(min=0, metavar="S", help="Cut long videos into segments of about this many seconds; 0: never."),
    ] = 1200.0,
    warm_up: Annotated[
        float,
        typer.Option(
            min=0, metavar="S", help="Seconds by which a segment starts early, so that it equals the uncut run."
        ),
    ] = 90.0,
    recordings: Annotated[bool, typer.Option("--recordings", help="Keep recordings as well as tables.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the corpus in --out.")] = False,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="With --resume: also retry failed videos.")
    ] = False,
    json: options.Json = False,
) -> int:
    """Reconstruct a corpus of videos on a Ray cluster into one data set of Parquet files."""
    from pipeline.corpus import CorpusSettings, Storage, corpus_progress, run_corpus, videos_in, write_report
    from pipeline.settings import load_settings
    from pipeline.terminal import fallback_text, print_json
    from pipeline.without_effect import corpus_settings_without_effect
    from stages.common.plain import plain
    from stages.common.terminal import Terminal

    values = {"reconstruct.checkpoint": checkpoint} if checkpoint is not None else {}
    settings = load_settings(preset or "offline", set_ or (), values)
    how = CorpusSettings(
        address=address,
        workers=workers,
        cpus=cpus,
        gpus=gpus,
        at_once=at_once,
        attempts=attempts,
        segment=segment,
        warm_up=warm_up,
        recordings=recordings,
    )
    console = Terminal(stderr=True, quiet=json)
    unused = corpus_settings_without_effect(settings, recordings=recordings)
    for choice in unused:
        console.print(fallback_text(choice), style="yellow", highlight=False, markup=False)
    start = time.monotonic()
    with corpus_progress(console) as on_totals:
        totals = run_corpus(source, out, settings, how, resume=resume, retry_failed=retry_failed, on_totals=on_totals)
    wall = time.monotonic() - start
    write_report(Storage(out), wall, videos=videos_in(source), settings=settings)
    _tell(console, totals, out, wall)
    if json:
        print_json({**plain(totals), "seconds": wall, "without_effect": plain(unused)})
    if not totals.failed:
        return 0
    return BrokenSourceError.exit_status if totals.done or totals.skipped else HambaError.exit_status


def _tell(console: "Console", totals: "Totals", out: str, wall: float) -> None:
    from hamba_core.text import counted
    from pipeline.corpus import ending_words

    parts = [f"{totals.done:,} done", f"{totals.failed:,} failed"]
    parts += [f"{totals.skipped:,} were finished before"] if totals.skipped else []
    parts += [f"{totals.left:,} left: --resume goes on"] if totals.left else []
    parts += [f"{counted(totals.repeated, 'name')} given twice"] if totals.repeated else []
    videos = counted(totals.expected - totals.repeated, "video")
    console.print(f"{videos} in {wall:,.0f} s: {', '.join(parts)}", highlight=False)
    console.print(ending_words(totals), highlight=False)
    for reason, count in totals.reasons.most_common(5):
        console.print(f"  {count:,} x {reason}", highlight=False)
    tables = "hands/, " if totals.hands else ""
    console.print(f"wrote {out}: {tables}index.parquet, report.html", highlight=False, soft_wrap=True)
