"""How a run went: a CSV with a row a step, and a picture of it."""

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hamba_core.errors import OutputError
from pipeline.training.scores import Scores

_SCORES = ("pa_mpjpe", "mpjpe", "error_2d", "first_pa_mpjpe", "first_mpjpe")
_LOSSES = ("loss", "joints", "vertices", "joints_2d", "pose", "orient", "betas")


class Curves:
    """Appends to the file; rows after `step`, which a killed run left, are dropped first. Raises OutputError."""

    def __init__(self, path: Path, step: int) -> None:
        self._path = path
        kept = [row for row in _rows(path) if int(row["step"]) <= step] if path.exists() else []
        self._write("w", [list(_HEADER), *([row[name] for name in _HEADER] for row in kept)])

    def add(self, step: int, seconds: float, losses: dict[str, float], scores: Scores | None) -> None:
        """A step's losses, and the scores where it was evaluated."""
        found = asdict(scores) if scores is not None else {}
        row: list[object] = [step, f"{seconds:.2f}", *(f"{losses[name]:.5g}" for name in _LOSSES)]
        self._write("a", [row + [f"{found[name]:.4f}" if found else "" for name in _SCORES]])

    def _write(self, mode: str, rows: list[list[Any]]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(mode, newline="") as file:
                csv.writer(file).writerows(rows)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error}; give a folder with room in it") from error


_HEADER = ("step", "seconds", *_LOSSES, *_SCORES)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def draw_curves(runs: dict[str, Path], picture: Path) -> None:
    """Loss and error on what is kept aside, over steps, of runs by name, from their CSV files. Raises OutputError."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.2), dpi=110, layout="constrained")
    loss, error = figure.subplots(1, 2)
    for name, path in runs.items():
        rows = _rows(path)
        steps = [int(row["step"]) for row in rows]
        loss.plot(steps, _smooth([float(row["loss"]) for row in rows]), label=name, linewidth=1)
        evaluated = [row for row in rows if row["pa_mpjpe"]]
        places = [int(row["step"]) for row in evaluated]
        (line,) = error.plot(places, [float(row["pa_mpjpe"]) for row in evaluated], marker=".", label=name)
        if evaluated and len(runs) == 1:
            first = float(evaluated[-1]["first_pa_mpjpe"])
            error.axhline(first, color=line.get_color(), linestyle=":", label="first estimate")
    loss.set(xlabel="step", ylabel="training loss", yscale="log")
    error.set(xlabel="step", ylabel="PA-MPJPE on hands kept aside, mm")
    error.legend()
    try:
        picture.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(picture)
    except OSError as failure:
        raise OutputError(f"{picture}: cannot be written: {failure}; give a folder with room in it") from failure


def _smooth(values: list[float], memory: float = 0.95) -> list[float]:
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else memory * smoothed[-1] + (1 - memory) * value)
    return smoothed
