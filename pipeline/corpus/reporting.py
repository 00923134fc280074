"""The page about a corpus: what became of it, how fast, how good, what failed, and the worst hands as pictures."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from hamba_core.errors import HambaError
from pipeline.corpus.storage import Entry, Storage, table_name
from pipeline.corpus.totals import kind_of
from pipeline.evaluation import Page, Plot, Table, Tile, Tiles, plot, write_page
from stages.packets import Image
from stages.sources import SourceSettings, source_for

_WORST: Final = 8
_WIDTH: Final = 320  # px of a thumbnail
_FAILURES: Final = 40


def write_report(storage: Storage, wall: float | None = None) -> None:
    """Write report.html into the storage. `wall` is the seconds that this run took, where it did something.

    Videos that can still be read are opened for the pictures of their worst hands.
    """
    entries = list(storage.entries())
    page = Page("A corpus of videos", tuple(_facts(storage, entries, wall)), tuple(_parts(storage, entries)))
    with TemporaryDirectory() as name:
        path = Path(name) / "report.html"
        write_page(path, page)
        storage.put("report.html", path)


def _facts(storage: Storage, entries: Sequence[Entry], wall: float | None) -> Iterator[tuple[str, str]]:
    done = [entry for entry in entries if entry.state == "done"]
    work = sum(entry.seconds for entry in entries)
    frames, hands = sum(entry.frames for entry in entries), sum(entry.rows for entry in entries)
    yield "kept in", storage.place
    yield "videos", f"{len(entries):,}: {len(done):,} done, {len(entries) - len(done):,} failed"
    yield "frames", f"{frames:,}, {sum(entry.frames_with_hands for entry in entries):,} of them with hands"
    yield "hands", f"{hands:,}"
    if work:
        yield (
            "work",
            f"{work:,.0f} s of workers: {frames / work:,.1f} frames and {hands / work:,.1f} hands a second of each",
        )
    if wall:
        yield "this run took", f"{wall:,.0f} s"
    versions = sorted({f"{entry.version}, settings {entry.settings}" for entry in entries if entry.version})
    yield "made with", "; ".join(versions) or "–"


def _parts(storage: Storage, entries: Sequence[Entry]) -> Iterator[Table | Plot | Tiles]:
    done = [entry for entry in entries if entry.state == "done"]
    if done:
        yield _histograms(done)
    kinds = Counter(kind_of(entry) for entry in entries if entry.state == "failed")
    if kinds:
        yield Table("Failures by kind", ("what", "videos"), tuple((kind, str(n)) for kind, n in kinds.most_common(20)))
        failed = [entry for entry in entries if entry.state == "failed"]
        rows = tuple((entry.video, str(entry.attempts), entry.reason[:160]) for entry in failed[:_FAILURES])
        note = "" if len(failed) <= _FAILURES else f"The first {_FAILURES} of {len(failed)}; index.parquet has all."
        yield Table("Failed videos", ("video", "attempts", "reason"), rows, note)
    worst = sorted((entry for entry in done if entry.quality is not None), key=lambda entry: entry.quality or 0.0)
    tiles = tuple(tile for entry in worst[:_WORST] if (tile := _worst_hand(storage, entry)) is not None)
    if tiles:
        yield Tiles(
            "The worst hands of the worst videos", tiles, "Quality, 0 to 1, tells how well hand and picture agree."
        )


def _histograms(done: Sequence[Entry]) -> Plot:
    qualities = [entry.quality for entry in done if entry.quality is not None]
    shares = [entry.frames_with_hands / entry.frames for entry in done if entry.frames]
    speeds = [entry.frames / entry.seconds for entry in done if entry.seconds]

    def draw(axes: Sequence[Any]) -> None:
        for axis, values, words, limits in zip(
            axes,
            (qualities, shares, speeds),
            ("mean quality of a video's hands", "share of frames with hands", "frames a second of a worker"),
            ((0, 1), (0, 1), None),
            strict=True,
        ):
            axis.hist(values, bins=30, range=limits, color="#3b7dd8")
            axis.set_xlabel(words)
            axis.set_ylabel("videos")

    return plot("How good, and how fast", "", (10, 2.6), 3, draw)


def _worst_hand(storage: Storage, entry: Entry) -> Tile | None:
    """Return the picture with the hand of the lowest quality of a video; none where it cannot be had."""
    import pyarrow.parquet as pq

    try:
        with storage.system.open_input_file(f"{storage.root}/{table_name(entry.id)}") as file:
            rows = pq.read_table(file, columns=["frame", "pts", "quality", "joints_2d"]).to_pylist()
        row = min((row for row in rows if row["quality"] is not None), key=lambda row: row["quality"], default=None)
        if row is None:
            return None
        image = _picture(entry.video, row["pts"])
    except (OSError, HambaError, StopIteration):
        return None
    joints = np.array(row["joints_2d"], np.float32).reshape(21, 2)
    return _tile(image, joints, f"{entry.video}, frame {row['frame']}: {row['quality']:.2f}")


def _picture(video: str, pts: float) -> Image:
    """Return the picture of a video at this time, s."""
    source = source_for(video, SourceSettings(start=pts or None))
    source.open()
    try:
        return next(frame.image for frame in source.frames() if frame)
    finally:
        source.close()


def _tile(image: Any, joints: Any, caption: str) -> Tile:
    import cv2

    scale = _WIDTH / image.shape[1]
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return Tile(small, caption, found=joints * scale)
