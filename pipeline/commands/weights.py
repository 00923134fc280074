"""`hamba weights`: prepare your licensed weights."""

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Prepare weights that you have licensed.")


@app.callback()
def _group() -> None:
    pass


@app.command("import")
def import_(
    release: Annotated[Path, typer.Argument(help="The release's folder, or its checkpoint.", show_default=False)],
    to: Annotated[Path, typer.Option(help="The file to write (.safetensors).", show_default=False)],
    mano: Annotated[
        Path | None,
        typer.Option(help="Your MANO_RIGHT.pkl, to include in the file. \\[default: the release's, if it has one]"),
    ] = None,
) -> None:
    """Convert a released checkpoint into a file that loads much faster."""
    from hamba_core import convert_release
    from pipeline.terminal import share_bar
    from stages.common.terminal import Terminal

    with share_bar(Terminal(stderr=True), "converting") as on_progress:
        made = convert_release(release, to, mano, on_progress)
    hand = "with the hand model" if made.with_hand else "without a hand model: name your MANO file with --hand-model"
    sys.stdout.write(f"{made.path}: {made.size / 1e9:.2f} GB, {made.tensors} tensors, {hand}\n")
    sys.stdout.write(f"Use it: hamba run SOURCE --checkpoint {made.path}\n")
