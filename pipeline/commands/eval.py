"""`hamba eval`: how accurate and how steady an estimator is."""

import json as json_module
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pipeline.evaluation import Table, Tree
    from pipeline.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Measure how accurate and how steady hands are.")

Estimator = Annotated[str | None, typer.Option(help="auto, hamba or landmarks. [default: auto]", show_default=False)]
Checkpoint = Annotated[Path | None, typer.Option(help="Weights: a release folder, a checkpoint or a converted file.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="STAGE.KEY=VALUE", help="Any setting, as often as needed.", show_default=False),
]
Out = Annotated[
    Path | None, typer.Option(help="Folder for the numbers (JSON) and the report (HTML).", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON on standard output, and nothing else.")]


@app.command("synthetic")
def synthetic(
    estimator: Estimator = None,
    checkpoint: Checkpoint = None,
    set_: Set = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="People and places as drawn; each harder view has a third as many.")
    ] = 5,
    seconds: Annotated[float, typer.Option(min=0.5, max=30, help="Length of each scene.")] = 10.0,
    views: Annotated[
        str | None, typer.Option(help="Only these, as in plain,dark. [default: all]", show_default=False)
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A B", help="Measure nothing: show two runs' folders (or JSON files) side by side."),
    ] = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Measure an estimator on the synthetic source's held-out scenes, beside MediaPipe's own joints.

    Ten minutes on two processors; fewer --seeds or --seconds take less.
    """
    from pipeline.evaluation import (
        comparison,
        comparison_page,
        held_out_scenes,
        measure_synthetic,
        origin,
        page_of,
        read_numbers,
        results_folder,
        score,
        tables_of,
        views_in,
        write_page,
        write_results,
    )
    from pipeline.terminal import share_bar
    from stages.common.terminal import Terminal

    console = Terminal(stderr=True, quiet=json)
    if compare is not None:
        first, second = (read_numbers(path, "synthetic") for path in compare)
        names = (compare[0].stem, compare[1].stem)
        _show(comparison(first, second, names), {"first": first, "second": second}, as_json=json)
        if out is not None:
            page = out / "comparison.html"
            write_page(page, comparison_page(first, second, names))
            _tell_written([page], console)
        return
    settings = _settings(estimator, checkpoint, set_)
    scenes = held_out_scenes(seeds, seconds, views_in(views))
    folder = results_folder(out, "synthetic")
    with share_bar(console, "measuring") as on_progress:
        measured = measure_synthetic(settings, scenes, on_progress)
    tree = score(measured, scenes) | origin(settings)
    _show(tables_of(tree), tree, as_json=json)
    _tell_written(write_results(folder, page_of(tree, measured.gallery), tree), console)


def _settings(estimator: str | None, checkpoint: Path | None, set_: list[str] | None) -> "Settings":
    from pipeline.settings import load_settings

    values = {"reconstruct.estimator": estimator, "reconstruct.checkpoint": checkpoint}
    return load_settings("offline", set_ or (), {key: value for key, value in values.items() if value is not None})


def _show(tables: Sequence["Table"], tree: "Tree", *, as_json: bool) -> None:
    """Tables on standard output, or the numbers as JSON."""
    from pipeline.evaluation import print_table
    from stages.common.terminal import Terminal

    if as_json:
        sys.stdout.write(json_module.dumps(tree) + "\n")
        return
    # A pipe or a file has no width; a table folded to 80 columns cannot be read.
    console = Terminal(highlight=False, width=None if sys.stdout.isatty() else 200)
    for table in tables:
        print_table(console, table)


def _tell_written(paths: Sequence[Path], console: "Console") -> None:
    for path in paths:
        console.print(f"wrote {path}", highlight=False, markup=False, soft_wrap=True)
