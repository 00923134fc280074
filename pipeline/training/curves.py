"""How a run went: a CSV with a row a step, and a picture of it."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from hamba_core.errors import OutputError

CURVES: Final = "curves.csv"
"""The file's name in a run's folder."""


class Curves:
    """Appends to the file; rows after `step`, which a killed run left, are dropped first. Raises OutputError.

    Its columns are step, seconds, the losses and the scores; what a row does not have is left empty.
    """

    def __init__(self, path: Path, step: int, losses: Sequence[str], scores: Sequence[str]) -> None:
        self._path, self._losses, self._scores = path, losses, scores
        header = ["step", "seconds", *losses, *scores]
        kept = [row for row in _rows(path) if int(row["step"]) <= step] if path.exists() else []
        self._write("w", [header, *([row.get(name, "") for name in header] for row in kept)])

    def add(self, step: int, seconds: float, losses: Mapping[str, float], scores: Mapping[str, float]) -> None:
        """Add a step's losses, and the scores where it was evaluated."""
        row: list[object] = [step, f"{seconds:.2f}"]
        row += [f"{losses[name]:.5g}" if name in losses else "" for name in self._losses]
        self._write("a", [row + [f"{scores[name]:.4f}" if name in scores else "" for name in self._scores]])

    def _write(self, mode: str, rows: list[list[Any]]) -> None:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open(mode, newline="") as file:
                csv.writer(file).writerows(rows)
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error}; give a folder with room in it") from error


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def draw_curves(runs: dict[str, Path], picture: Path) -> None:
    """Draw loss and held-out error over steps, of runs by name, from their CSV files. Raises OutputError."""
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
        if evaluated and len(runs) == 1 and evaluated[-1].get("first_pa_mpjpe"):
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
