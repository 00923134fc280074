"""The tables of a video's segments become one table, with one numbering of its tracks, as of an uncut run.

A segment repeats the end of the one before it. There, two tracks that are on the same hand are one.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from hamba_core.arrays import Float32Array
from stages.common.proximity import joint_distance
from stages.export import hand_schema

if TYPE_CHECKING:
    import pyarrow as pa

_SAME_HAND: Final = 0.25
"""Of a hand's size: as near to each other, two hands of one side in one frame are one."""


@dataclass(frozen=True)
class Piece:
    """A segment's results: its own frames are those from `start` on."""

    table: Path | None  # none: no hands
    start: float  # s
    before: int  # frames before its start
    frames: int  # its own


class _Seen(NamedTuple):
    track: int
    side: str
    joints: Float32Array  # (21, 2) px


def join_tables(pieces: Sequence[Piece], path: Path) -> tuple[int, int]:
    """Write the table of all of a video's segments, in their order; return how many rows and tracks it has.

    Rows stand as in the table of an uncut video: track by track, each in order of time. They are copied block by
    block, so that memory does not grow with the video's length.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tracks = _tracks_of(pieces)
    firsts = np.cumsum([0, *(piece.frames for piece in pieces)])
    files = {n: pq.ParquetFile(piece.table) for n, piece in enumerate(pieces) if piece.table is not None}
    blocks: list[tuple[int, str, int, int]] = []  # its track and side, the segment, and where it is in its table
    for n, file in files.items():
        for block in range(file.num_row_groups):
            head = file.read_row_group(block, columns=["track", "side"])
            if head.num_rows and (track := tracks[n].get(head["track"][0].as_py())) is not None:
                blocks.append((track, head["side"][0].as_py(), n, block))
    schema, rows, written = hand_schema(), 0, set()
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for track, side, n, block in sorted(blocks):
            table = _own_rows(files[n].read_row_group(block), pieces[n].start)
            if not table.num_rows:
                continue
            frames = pa.array(table["frame"].to_numpy() + (int(firsts[n]) - pieces[n].before), pa.int64())
            ids = pa.array(np.full(table.num_rows, track), pa.int32())
            for name, column in (("frame", frames), ("track", ids)):
                at = schema.get_field_index(name)
                table = table.set_column(at, schema.field(at), column)
            writer.write_table(table.cast(schema))
            rows += table.num_rows
            written.add((track, side))
    for file in files.values():
        file.close()
    return rows, len(written)


def _own_rows(table: "pa.Table", start: float) -> "pa.Table":
    import pyarrow.compute as pc

    return table.filter(pc.greater_equal(table["pts"], start))


def _tracks_of(pieces: Sequence[Piece]) -> list[dict[int, int]]:
    """Return for each segment which of its tracks is which of the video; those that are all before it are left out."""
    maps: list[dict[int, int]] = []
    newest, last = 0, dict[float, list[_Seen]]()
    for piece in pieces:
        seen = _hands(piece)
        before = {pts: hands for pts, hands in seen.items() if pts < piece.start}
        own = sorted({hand.track for pts, hands in seen.items() if pts >= piece.start for hand in hands})
        same = _matched(before, last)
        repeated = max((hand.track for hands in before.values() for hand in hands), default=0)
        tracks = {track: same[track] for track in own if track in same}
        for track in own:
            if track <= repeated and track not in tracks:
                newest += 1
                tracks[track] = newest
        # A number that a segment gave to no hand that is in its table was given to none in the uncut run either.
        tracks |= {track: newest + track - repeated for track in own if track > repeated}
        newest = max([newest, *tracks.values()])
        maps.append(tracks)
        last = {
            pts: [hand._replace(track=tracks[hand.track]) for hand in hands if hand.track in tracks]
            for pts, hands in seen.items()
        }
    return maps


def _hands(piece: Piece) -> dict[float, list[_Seen]]:
    """Return the hands of a segment by their time, s."""
    import pyarrow.parquet as pq

    hands: dict[float, list[_Seen]] = defaultdict(list)
    if piece.table is None:
        return hands
    table = pq.read_table(piece.table, columns=["pts", "track", "side", "joints_2d"])
    joints = _numbers(table["joints_2d"]).reshape(-1, 21, 2)
    columns = (table[name].to_pylist() for name in ("pts", "track", "side"))
    for pts, track, side, place in zip(*columns, joints, strict=True):
        hands[pts].append(_Seen(track, side, place))
    return hands


def _numbers(column: Any) -> Float32Array:
    numbers: Float32Array = column.combine_chunks().flatten().to_numpy()
    return numbers


def _matched(before: dict[float, list[_Seen]], last: dict[float, list[_Seen]]) -> dict[int, int]:
    """Return which track of the segment before (`last`) each track is; the latest frame in which both are counts."""
    same: dict[int, int] = {}
    for pts in sorted(before.keys() & last.keys(), reverse=True):
        for hand in before[pts]:
            free = [other for other in last[pts] if other.side == hand.side and other.track not in same.values()]
            if hand.track in same or not free:
                continue
            nearest = min(free, key=lambda other: joint_distance(hand.joints, other.joints))
            if joint_distance(hand.joints, nearest.joints) < _SAME_HAND:
                same[hand.track] = nearest.track
    return same
