"""Segments share a video without gap or overlap, and their tables become one with one numbering of tracks."""

from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, strategies as st

from pipeline.corpus import CorpusSettings, segments_of
from pipeline.corpus.joining import Piece, join_tables
from pipeline.corpus.segments import may_be_cut
from pipeline.settings import load_settings
from stages.export import hand_schema
from stages.export.formats.parquet import ARRAYS

RATE = 10


@given(st.floats(0.1, 1e5), st.floats(1, 3600))
def test_segments_meet_and_are_of_equal_length(length: float, seconds: float) -> None:
    segments = segments_of(length, seconds)
    assert segments[0].start is None
    assert segments[-1].end is None
    assert all(one.end == other.start for one, other in pairwise(segments))
    bounds = [0.0, *(segment.end or length for segment in segments)]
    assert np.ptp(np.diff(bounds)) < 1e-6 * length
    assert len(segments) == 1 or seconds / 1.5 <= length / len(segments) <= 1.5 * seconds


def test_what_cannot_be_cut_is_not() -> None:
    cut = CorpusSettings()
    assert may_be_cut(load_settings("offline"), cut)
    assert not may_be_cut(load_settings("offline"), CorpusSettings(segment=0))
    assert not may_be_cut(load_settings("offline"), CorpusSettings(recordings=True))
    for override in ("detect.every=2", "source.start=1", "source.end=1"):
        assert not may_be_cut(load_settings("offline", [override]), cut)


class Hand(NamedTuple):
    frame: int
    track: int
    side: str
    x: float  # px, of all its joints


def table(path: Path, hands: list[Hand], first: int = 0) -> Path:
    """Write a table as `write_table` does, a block a track, of frames that the source counts from `first`."""
    schema = hand_schema()
    with pq.ParquetWriter(path, schema) as writer:
        for key in sorted({(hand.track, hand.side) for hand in hands}):
            rows = [hand for hand in hands if (hand.track, hand.side) == key]
            values = [
                {
                    "video": "v", "frame": hand.frame - first, "pts": hand.frame / RATE, "track": hand.track,
                    "side": hand.side, "seen": True, "score": 1.0,
                    **{name: [0.0] * size for name, size in ARRAYS.items()},
                    "joints_2d": np.repeat(np.linspace(0, 50, 21), 2) + np.tile([hand.x, 0], 21),
                }
                for hand in rows
            ]  # fmt: skip
            writer.write_table(pa.Table.from_pylist(values, schema=schema))
    return path


def rows_of(path: Path) -> list[tuple[int, float, int, str, float]]:
    read = pq.read_table(path)
    columns = (read[name].to_pylist() for name in ("frame", "pts", "track", "side", "joints_2d"))
    return [(frame, pts, track, side, joints[0]) for frame, pts, track, side, joints in zip(*columns, strict=True)]


def run_between(hands: list[Hand], start: int, end: int, ids: dict[int, int]) -> list[Hand]:
    """What a run from frame `start` to before `end` would see: tracks numbered by their first appearance."""
    seen = sorted((hand for hand in hands if start <= hand.frame < end), key=lambda hand: (hand.frame, hand.track))
    for hand in seen:
        ids.setdefault(hand.track, len(ids) + 1)
    return [hand._replace(track=ids[hand.track]) for hand in seen]


HANDS = [
    *(Hand(frame, 1, "right", 10.0 * frame) for frame in range(70)),
    *(Hand(frame, 2, "left", 900.0) for frame in range(5, 18)),  # gone before the first cut
    *(Hand(frame, 3, "left", 500.0) for frame in range(28, 36)),  # over a cut
    *(Hand(frame, 4, "left", 100.0) for frame in range(61, 64)),
    *(Hand(frame, 5, "right", 1500.0 - frame) for frame in range(64, 90)),  # begins in a warm-up
]


@pytest.mark.parametrize("warm_up", [5, 12, 40])
def test_joined_tables_are_those_of_the_uncut_run(tmp_path: Path, warm_up: int) -> None:
    whole = table(tmp_path / "whole.parquet", HANDS)
    cuts, pieces = [0, 20, 30, 66, 90], []
    for start, end in pairwise(cuts):
        begin = max(0, start - warm_up)
        hands = run_between(HANDS, begin, end, {})
        path = table(tmp_path / f"{start}.parquet", hands, begin)
        pieces.append(Piece(path, start / RATE, start - begin, end - start))
    rows, tracks = join_tables(pieces, tmp_path / "joined.parquet")
    assert rows_of(tmp_path / "joined.parquet") == rows_of(whole)
    assert (rows, tracks) == (len(HANDS), 5)
    assert pq.read_schema(tmp_path / "joined.parquet").equals(pq.read_schema(whole), check_metadata=True)


def test_segments_without_hands_or_frames_leave_the_count_of_frames_right(tmp_path: Path) -> None:
    early = table(tmp_path / "a.parquet", [Hand(frame, 1, "right", 0.0) for frame in range(5)])
    late = table(tmp_path / "c.parquet", [Hand(frame, 1, "right", 0.0) for frame in range(45, 50)], 38)
    pieces = [Piece(early, 0.0, 0, 10), Piece(None, 1.0, 5, 30), Piece(None, 3.9, 0, 0), Piece(late, 4.0, 2, 10)]
    assert join_tables(pieces, tmp_path / "joined.parquet") == (10, 2)
    found = rows_of(tmp_path / "joined.parquet")
    assert [(frame, track) for frame, _, track, _, _ in found] == [
        *((frame, 1) for frame in range(5)),
        *((frame, 2) for frame in range(45, 50)),
    ]


def test_two_hands_of_one_side_keep_to_their_own_tracks(tmp_path: Path) -> None:
    hands = [Hand(frame, track, "right", 400.0 * track) for frame in range(20) for track in (1, 2, 3)]
    other = {1: 3, 2: 1, 3: 2}  # as the later run happened to number them
    early = table(tmp_path / "a.parquet", [hand for hand in hands if hand.frame < 10])
    late = table(tmp_path / "b.parquet", [h._replace(track=other[h.track]) for h in hands if h.frame >= 5], 5)
    join_tables([Piece(early, 0.0, 0, 10), Piece(late, 1.0, 5, 10)], tmp_path / "joined.parquet")
    assert rows_of(tmp_path / "joined.parquet") == rows_of(table(tmp_path / "whole.parquet", hands))
