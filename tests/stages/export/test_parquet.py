"""What DuckDB, pandas and Polars read of a table is what was recorded."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest

from hamba_core.errors import DependencyError
from hamba_core.hand import load_generic_hand
from stages.export import ExportSettings, export
from stages.export.formats.parquet import ARRAYS, hand_schema
from stages.packets import Hand

PoseHand = Callable[..., Hand]
MakeRecording = Callable[..., Path]

GENERIC = load_generic_hand()


@pytest.fixture(scope="module")
def frames(pose_hand: PoseHand) -> list[tuple[Hand, ...]]:
    """A right hand that is away in one frame, and a left one that comes later."""
    right = [pose_hand(GENERIC, seed, "right", track_id=1) for seed in range(4)]
    left = [pose_hand(GENERIC, seed + 50, "left", track_id=4) for seed in range(4)]
    return [(right[0],), (right[1], left[1]), (left[2],), (right[3], left[3])]


@pytest.fixture
def table(frames: list[tuple[Hand, ...]], make_recording: MakeRecording, tmp_path: Path) -> Path:
    [path] = export(make_recording(GENERIC, frames), tmp_path, ExportSettings(formats=("parquet",)))
    return path


def test_every_hand_is_a_row_with_its_numbers(table: Path, frames: list[tuple[Hand, ...]]) -> None:
    read = pq.read_table(table)
    assert read.schema.equals(hand_schema())
    rows = read.to_pylist()
    hands = {(frame, hand.track_id): hand for frame, there in enumerate(frames) for hand in there}
    assert [(row["frame"], row["track"]) for row in rows] == sorted(hands, key=lambda key: (key[1], key[0]))
    for row in rows:
        hand = hands[row["frame"], row["track"]]
        assert (row["side"], row["pts"]) == (hand.side, pytest.approx(row["frame"] / 30))
        for name in ARRAYS.keys() - {"camera", "translation_std"}:
            np.testing.assert_array_equal(np.float32(row[name]), getattr(hand, name).ravel())


def test_what_is_not_known_is_null(
    pose_hand: PoseHand, make_recording: MakeRecording, tmp_path: Path, frames: list[tuple[Hand, ...]]
) -> None:
    hand = pose_hand(GENERIC)
    assert hand.quality is None
    assert hand.translation_std is None
    [path] = export(make_recording(GENERIC, [(hand,)]), tmp_path, ExportSettings(formats=("parquet",)))
    (row,) = pq.read_table(path).to_pylist()
    assert (row["quality"], row["translation_std"], row["picture"]) == (None, None, None)


def test_three_programs_read_the_same(table: Path) -> None:
    query = f"select side, count(*), max(joints[9]) from '{table}' group by side order by side"
    found = duckdb.connect().execute(query).fetchall()
    frame = pd.read_parquet(table)
    groups = [(side, len(rows), max(joints[8] for joints in rows["joints"])) for side, rows in frame.groupby("side")]
    polars = pl.read_parquet(table).group_by("side").agg(pl.len(), pl.col("joints").arr.get(8).max()).sort("side")
    assert found == groups == polars.rows()


def test_without_pyarrow_the_error_says_how_to_get_it(
    pose_hand: PoseHand, make_recording: MakeRecording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recording = make_recording(GENERIC, [(pose_hand(GENERIC),)])
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(DependencyError, match=r"pip install 'hamba-stream\[parquet\]'"):
        export(recording, tmp_path, ExportSettings(formats=("parquet",)))
