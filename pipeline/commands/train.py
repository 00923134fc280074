"""`hamba train`: hamba-s or the released size, from nothing, or on from where a training was."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from hamba_core.text import counted

_PRESETS = ("small", "tiny", "released")


def train(
    config: Annotated[
        str,
        typer.Argument(
            help="small (hamba-s as shipped), tiny (minutes), released (the released size), or your own YAML file."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder of the run: checkpoint, curves, weights. An earlier run in it is continued.")
    ] = Path("out/train"),
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="key=value or part.key=value, such as steps=2000; may be repeated.", metavar="KEY=VALUE"
        ),
    ] = None,
) -> None:
    """Train hamba-s on rendered crops, or the released size on published data sets.

    What was done is not done again.
    """
    from importlib.resources import files

    from pipeline.training import read_tree
    from stages.common.terminal import Terminal, tell

    path = Path(str(files("configs") / f"train_{config}.yaml")) if config in _PRESETS else Path(config)
    tree = read_tree(path, set_ or ())
    console = Terminal(stderr=True)

    def say(step: str) -> None:
        console.print(step, style="dim", highlight=False)

    try:
        sys.stdout.write(_trained(tree, path, out, say))
    except KeyboardInterrupt:
        tell(f"stopped; the same command goes on from the last checkpoint in {out}")
        raise


def _trained(tree: dict[str, Any], path: Path, out: Path, say: Callable[[str], None]) -> str:
    """Train what the settings say, and return what came of it."""
    from pipeline.training import released_settings, train as run_training, train_released, training_settings

    if tree.get("size") == "released":
        released = train_released(released_settings(tree, str(path)), out, say)
        found = released.scores
        return (
            f"on {counted(found.hands, 'hand')} kept aside: PA-MPJPE {found.pa_mpjpe:.2f} mm, "
            f"MPJPE {found.mpjpe:.2f} mm, {found.error_2d:.2f} px of the crop\nRelease: {released.release}\n"
        )
    trained = run_training(training_settings(tree, str(path)), out, say)
    scores = trained.scores
    return (
        f"{trained.hands} looks at hands trained on; on {scores.hands} kept aside: PA-MPJPE {scores.pa_mpjpe:.2f} mm "
        f"(landmark fit {scores.first_pa_mpjpe:.2f}), MPJPE {scores.mpjpe:.2f} mm ({scores.first_mpjpe:.2f})\n"
        f"Weights: {trained.weights}, {trained.exported}\n"
    )
