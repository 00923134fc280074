"""A robot's actions beside the hands: arrays of a file over time, as `hamba retarget` writes them, or of your own."""

import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Final

import numpy as np

from hamba_core.arrays import Array, Float32Array
from hamba_core.errors import SourceError, error_reason
from hamba_core.untrusted import DocumentError, load_arrays, read_text

TIME: Final = "pts"
_FARTHEST: Final = 0.1  # s, between an action and the frame that it is taken for


@dataclass(frozen=True, eq=False)
class Actions:
    """Actions over time."""

    path: Path
    names: tuple[str, ...]
    pts: Array  # (N,) s of the source's time, rising
    values: Float32Array  # (N, len(names))

    def at(self, pts: float) -> Float32Array:
        """Return the action (len(names),) next to a time. Raises SourceError where none is near."""
        after = int(np.searchsorted(self.pts, pts))
        near = min((i for i in (after - 1, after) if 0 <= i < len(self.pts)), key=lambda i: abs(self.pts[i] - pts))
        if abs(self.pts[near] - pts) > _FARTHEST:
            raise SourceError(
                f"{self.path}: expected an action within {_FARTHEST:g} s of every frame, found none near "
                f"{pts:.3f} s; choose other frames with --start and --end"
            )
        value: Float32Array = self.values[near]
        return value


def read_actions(path: Path, chosen: tuple[str, ...]) -> Actions:
    """Return the chosen arrays of an .npz file, or columns of a .csv file, by their names.

    Both have `pts`, the times in seconds. With none chosen it is every array `<name>/positions`, whose columns
    `<name>/names` names, as `hamba retarget` writes them; of a table every column of numbers. Raises SourceError.
    """
    found = _of_table(path, chosen) if path.suffix.lower() == ".csv" else _of_arrays(path, chosen)
    if not len(found.pts) or not found.names:
        raise SourceError(f"{path}: expected actions over time, found none")
    finite = np.isfinite(found.pts).all() and np.isfinite(found.values).all()
    if not finite or (np.diff(found.pts) < 0).any():
        raise SourceError(f"{path}: expected finite actions at rising times in {TIME}, found others")
    return found


def _of_arrays(path: Path, chosen: tuple[str, ...]) -> Actions:
    try:
        arrays = load_arrays(path)
    except (OSError, DocumentError) as error:
        raise SourceError(f"{path}: expected arrays (.npz) or a table (.csv), found: {error_reason(error)}") from error
    wanted = chosen or tuple(sorted(name for name in arrays if name.endswith("/positions")))
    missing = [name for name in (TIME, *wanted) if name not in arrays]
    if missing or not wanted:
        known = ", ".join(sorted(arrays))
        raise SourceError(f"{path}: expected arrays {', '.join(missing) or '<name>/positions'}, found {known}")
    try:
        pts = np.asarray(arrays[TIME], np.float64).reshape(-1)
    except ValueError as error:
        raise SourceError(f"{path}: expected {TIME} to be times in seconds, found {error}") from error
    names: list[str] = []
    columns = []
    for name in wanted:
        try:
            if arrays[name].shape[:1] != pts.shape:
                raise ValueError(f"the shape {arrays[name].shape}")
            with np.errstate(over="ignore"):  # what is too large is told as not finite
                values = np.asarray(arrays[name], np.float32).reshape(len(pts), -1)
        except ValueError as error:
            raise SourceError(
                f"{path}: expected {name} with a row for each of {len(pts)} times, found {error}"
            ) from error
        own = arrays.get(f"{name.rpartition('/')[0]}/names")
        group = name.rpartition("/")[0] or name
        labels = [str(label) for label in own] if own is not None and own.shape == values.shape[1:] else None
        names += [f"{group}.{label}" for label in (labels or range(values.shape[1]))]
        columns.append(values)
    return Actions(path, tuple(names), pts, np.concatenate(columns, 1))


def _of_table(path: Path, chosen: tuple[str, ...]) -> Actions:
    try:
        rows = list(csv.reader(StringIO(read_text(path))))
    except (OSError, DocumentError, csv.Error) as error:
        raise SourceError(f"{path}: expected a table, found: {error_reason(error)}") from error
    head, body = (rows[0], rows[1:]) if rows else ([], [])
    wanted = chosen or tuple(name for i, name in enumerate(head) if name != TIME and _is_number(body, i))
    missing = [name for name in (TIME, *wanted) if name not in head]
    if missing:
        raise SourceError(f"{path}: expected columns {', '.join(missing)}, found {', '.join(head)[:200]}")
    numbers = np.stack([_numbers(path, body, head.index(name), name) for name in (TIME, *wanted)], 1)
    with np.errstate(over="ignore"):
        return Actions(path, wanted, numbers[:, 0], numbers[:, 1:].astype(np.float32))


def _numbers(path: Path, body: list[list[str]], column: int, name: str) -> Array:
    """Return a column's numbers, a row each. Raises SourceError where one is none, as a cell that is empty."""
    numbers = np.empty(len(body))
    for i, row in enumerate(body):
        cell = row[column] if column < len(row) else ""
        try:
            numbers[i] = float(cell)
        except ValueError as error:
            raise SourceError(
                f"{path}: expected a number in every row of column {name}, found {cell!r} in line {i + 2}; "
                "choose columns with --action"
            ) from error
    return numbers


def _is_number(body: list[list[str]], column: int) -> bool:
    try:
        float(body[0][column])
    except (ValueError, IndexError):
        return False
    return True
