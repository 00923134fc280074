"""`hamba train`: hamba-s from nothing, or on from where a training was."""

import sys
from pathlib import Path
from typing import Annotated

import typer

_PRESETS = ("small", "tiny")


def train(
    config: Annotated[str, typer.Argument(help="small (as shipped), tiny (minutes), or a YAML file of your own.")],
    out: Annotated[
        Path, typer.Option(help="Folder of the run: checkpoint, curves, weights. A run that is in it goes on.")
    ] = Path("out/train"),
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value or part.key=value, as steps=2000; several times.", metavar="KEY=VALUE"),
    ] = None,
) -> None:
    """Train hamba-s: render crops, look at them, train, evaluate, export. What was done is not done again."""
    from importlib.resources import files

    from pipeline.training import read_training_settings, train as run_training
    from stages.common.terminal import Terminal

    path = Path(str(files("configs") / f"train_{config}.yaml")) if config in _PRESETS else Path(config)
    settings = read_training_settings(path, set_ or ())
    console = Terminal(stderr=True)
    trained = run_training(settings, out, lambda step: console.print(step, style="dim", highlight=False))
    scores = trained.scores
    sys.stdout.write(
        f"{trained.hands} looks at hands trained on; on {scores.hands} kept aside: PA-MPJPE {scores.pa_mpjpe:.2f} mm "
        f"(landmark fit {scores.first_pa_mpjpe:.2f}), MPJPE {scores.mpjpe:.2f} mm ({scores.first_mpjpe:.2f})\n"
        f"Weights: {trained.weights}, {trained.exported}\n"
    )
