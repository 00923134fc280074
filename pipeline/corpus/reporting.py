"""The page about a corpus: what became of it, how fast, how good, what failed, and the worst hands as pictures."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np

from hamba_core.errors import HambaError
from pipeline.corpus.fetching import fetched
from pipeline.corpus.manifest import Video
from pipeline.corpus.storage import Entry, Storage, table_name
from pipeline.corpus.totals import kind_of, reason_of
from pipeline.evaluation import Page, Plot, Table, Tile, Tiles, plot, write_page
from pipeline.settings import Settings, changed_settings
from stages.packets import Image
from stages.sources import source_for

_WORST: Final = 8
_WIDTH: Final = 320  # px of a thumbnail
_ROOM: Final = 2.5  # sides of a thumbnail, in those of the hand
_FETCHED: Final = 1 << 28  # bytes of a video in a store that is copied here for its thumbnail
_FAILURES: Final = 40


def write_report(
    storage: Storage,
    wall: float | None = None,
    *,
    videos: Iterable[Video] = (),
    settings: Settings | None = None,
) -> None:
    """Write report.html into the storage. `wall` is the seconds that this run took, where it did something.

    Videos that can still be read are opened for the pictures of their worst hands, with the `settings` of the corpus
    and their own; those of a store are fetched for it if they are small. `videos` are those of the corpus: by an
    entry's name none is found whose address has something secret in it.
    """
    entries = list(storage.entries())
    folder = folder_of([entry.video for entry in entries])
    facts = _facts(storage, entries, folder, wall)
    parts = [*_parts(entries, folder), *_worst_hands(storage, entries, folder, videos, settings or Settings())]
    page = Page("A corpus of videos", tuple(facts), tuple(parts))
    with TemporaryDirectory() as name:
        path = Path(name) / "report.html"
        write_page(path, page)
        storage.put("report.html", path)


def folder_of(videos: Sequence[str]) -> str:
    """Return the folder that all videos are in, with the sign that ends it; empty if they have none in common."""
    folder = os.path.commonprefix(videos).partition("?")[0]  # noqa: RUF071 - addresses are no paths; cut below
    return folder[: max(folder.rfind("/"), folder.rfind(os.sep)) + 1]


def _name(video: str, folder: str) -> str:
    """Return a video's name in the folder. What an address asks of a store says nothing of the video."""
    return (video.partition("?")[0] if "://" in video else video).removeprefix(folder)


def _facts(storage: Storage, entries: Sequence[Entry], folder: str, wall: float | None) -> Iterator[tuple[str, str]]:
    done = [entry for entry in entries if entry.state == "done"]
    work = sum(entry.seconds for entry in entries)
    frames, hands = sum(entry.frames for entry in entries), sum(entry.rows for entry in entries)
    if folder:
        yield "videos in", folder
    yield "results in", storage.place
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
    yield "written", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _parts(entries: Sequence[Entry], folder: str) -> Iterator[Table | Plot]:
    done = [entry for entry in entries if entry.state == "done"]
    if done:
        yield _histograms(done)
    kinds = Counter(kind_of(entry) for entry in entries if entry.state == "failed")
    if kinds:
        yield Table(
            "Failures by kind",
            ("what", "videos"),
            tuple((kind, str(n)) for kind, n in kinds.most_common(20)),
            prose=("what",),
        )
        failed = [entry for entry in entries if entry.state == "failed"]
        rows = tuple(
            (_name(entry.video, folder), str(entry.attempts), reason_of(entry)) for entry in failed[:_FAILURES]
        )
        note = "" if len(failed) <= _FAILURES else f"The first {_FAILURES} of {len(failed)}; index.parquet has all."
        yield Table("Failed videos", ("video", "attempts", "reason"), rows, note, prose=("reason",))


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
            axis.hist(values, bins=30, range=limits or (0, max(values, default=0) * 1.05 or 1), color="#3b7dd8")
            axis.set_xlabel(words)
            axis.set_ylabel("videos")
            axis.yaxis.get_major_locator().set_params(integer=True)

    return plot("How good, and how fast", "", (10, 2.6), 3, draw)


def _worst_hands(
    storage: Storage, entries: Sequence[Entry], folder: str, videos: Iterable[Video], settings: Settings
) -> Iterator[Tiles]:
    """Yield pictures of the worst hand of each of the worst videos, the worst first; nothing where there is none."""
    known = [(entry.quality, entry.id, entry) for entry in entries if entry.quality is not None]
    worst = [entry for *_, entry in sorted(known)[:_WORST]]
    ids = {entry.id for entry in worst}
    as_given = {video.id: video for video in videos if video.id in ids} if ids else {}
    found: list[tuple[float, Tile]] = []
    for entry in worst:
        hand, video = _worst_hand(storage, entry), as_given.get(entry.id, Video(entry.video))
        image = _picture(video, settings, hand["pts"]) if hand is not None else None
        if hand is not None and image is not None:
            caption = f"{_name(entry.video, folder)}, frame {hand['frame']}: {hand['quality']:.2f}"
            found.append((hand["quality"], _tile(image, hand["joints_2d"], caption)))
    if found:
        note = "Quality, 0 to 1, tells how well hand and picture agree."
        tiles = tuple(tile for _, tile in sorted(found, key=itemgetter(0)))
        yield Tiles("The worst hands of the worst videos", tiles, note)


def _worst_hand(storage: Storage, entry: Entry) -> dict[str, Any] | None:
    """Return the row of a video's hand of the lowest quality; none where it cannot be had."""
    import pyarrow.parquet as pq

    try:
        with storage.system.open_input_file(f"{storage.root}/{table_name(entry.id)}") as file:
            rows = pq.read_table(file, columns=["frame", "pts", "quality", "joints_2d"]).to_pylist()
    except OSError:
        return None
    return min((row for row in rows if row["quality"] is not None), key=lambda row: row["quality"], default=None)


def _picture(video: Video, settings: Settings, pts: float) -> Image | None:
    """Return the picture of a video at this time, s; none where it cannot be had."""
    with TemporaryDirectory(prefix="hamba-corpus-") as name:
        try:
            own = changed_settings(video.settings_in(settings), {"source": {"start": pts or None, "end": None}})
            source = source_for(fetched(video, Path(name), _FETCHED), own.source)
            source.open()
            try:
                return next((frame.image for frame in source.frames() if frame), None)
            finally:
                source.close()
        except (OSError, HambaError):
            return None


def _tile(image: Image, joints_2d: Sequence[float], caption: str) -> Tile:
    """Return a square of the picture with a hand in its middle, or near it at an edge."""
    import cv2

    joints = np.array(joints_2d, np.float32).reshape(21, 2)
    low, high = joints.min(axis=0), joints.max(axis=0)
    size = np.array(image.shape[1::-1])
    side = int(np.clip(_ROOM * (high - low).max(), min(_WIDTH, size.min()), size.min()))
    x, y = np.clip((low + high - side) / 2, 0, size - side).astype(int)
    scale = _WIDTH / side
    square = image[y : y + side, x : x + side]
    small = np.asarray(cv2.resize(square, (_WIDTH, _WIDTH), interpolation=cv2.INTER_AREA), np.uint8)
    return Tile(small, caption, found=(joints - (x, y)) * scale)
