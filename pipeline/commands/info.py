"""`hamba info`: what is in a recording."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.commands.options import Take

if TYPE_CHECKING:
    from rich.console import Console

    from stages.recording import Overview


def info(
    recording: Annotated[Path, typer.Argument(help="A recording (hands.mcap) or its folder.", show_default=False)],
    take: Take = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            help="Draw a timeline of tracks, scores, speeds and latency into this PNG file.", show_default=False
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of an earlier --plot.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Tell what is in a recording: source, camera, hands, how its run went and what was used; and draw it."""
    from hamba_core.errors import ConfigurationError, OutputError
    from pipeline.given_names import recording_in
    from pipeline.terminal import print_json, print_report, share_bar
    from stages.common.terminal import Terminal
    from stages.recording import read_overview

    if plot is not None and plot.suffix.lower() != ".png":
        raise ConfigurationError(f"--plot: expected the name of a PNG file, found {plot}; let it end in .png")
    if plot is not None and plot.exists() and not overwrite:
        raise OutputError(f"{plot}: expected no such file yet, found one; name another with --plot, or say --overwrite")
    with share_bar(Terminal(stderr=True, quiet=json), "reading") as on_progress:
        overview = read_overview(recording_in(recording), on_progress, take)
    if plot is not None:
        from stages.recording import plot_timeline

        plot_timeline(overview, plot)
    if json:
        print_json(overview.tree())
        return
    console = Terminal(highlight=False, soft_wrap=True)
    _print(console, overview)
    if overview.status is not None:
        console.print()
        print_report(console, overview.status, [], live=overview.run.source.live, told=False)
    if plot is not None:
        console.print(f"wrote {plot}", markup=False)


def _print(console: "Console", overview: "Overview") -> None:
    from rich.table import Table
    from rich.text import Text

    from stages.recording import mean_of

    facts = Table(box=None, pad_edge=False, show_header=False)
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, fact in _facts(overview):
        facts.add_row(name, Text(fact))
    console.print(facts)
    if not overview.tracks:
        return
    console.print()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("track", "side", "frames", "unseen", "from s", "to s", "side score", "quality", "speed m/s"):
        table.add_column(name, justify="left" if name == "side" else "right")
    for track in overview.tracks:
        table.add_row(
            str(track.id),
            track.side,
            str(track.frames),
            str(track.extrapolated),
            f"{track.first_pts:.2f}",
            f"{track.last_pts:.2f}",
            f"{mean_of(track.scores):.2f}",
            "?" if isnan(quality := mean_of(track.qualities)) else f"{quality:.2f}",
            f"{mean_of(track.speeds):.2f}",
        )
    console.print(table)


def _facts(overview: "Overview") -> Iterator[tuple[str, str]]:
    from pipeline.settings import flat_settings

    run, source, camera = overview.run, overview.run.source, overview.run.source.camera
    ending = (
        "" if overview.ended_in_order else "; its end is missing: the run was killed, its disk was full, or it goes on"
    )
    yield "recording", f"{overview.path}, {overview.bytes / 1e6:.1f} MB{ending}"
    rate = "" if source.fps is None else f" at {source.fps:g} frames/s"
    yield "source", f"{source.name} ({source.kind}), {source.width}x{source.height}{rate}"
    measured = "estimated" if camera.estimated else "given"
    yield "camera", f"fx {camera.fx:.1f}, fy {camera.fy:.1f}, cx {camera.cx:.1f}, cy {camera.cy:.1f} px, {measured}"
    yield "started", f"{datetime.fromtimestamp(run.clock.unix_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield "estimator", f"{run.estimator}, hand model {run.hand_model} of {overview.vertices} vertices"
    yield "settings", ", ".join(flat_settings(run.settings)) or "defaults"
    yield "versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())
    left_out = [
        f"{count} {word}" for count, word in ((overview.skipped, "skipped"), (overview.lost, "damaged")) if count
    ]
    yield (
        "frames",
        f"{overview.frames} in {overview.duration:.2f} s, hands in {overview.frames_with_hands} of them"
        + "".join(f", {part}" for part in left_out),
    )
