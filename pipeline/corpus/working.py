"""What a worker does with a video: fetch it, reconstruct it, keep its hands, and say last that it is finished."""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from hamba_core.errors import HambaError, NoHandsError, NoPicturesError, OutputError, SourceError
from pipeline.batch import Outcome, Task, perform
from pipeline.corpus.fetching import fetched, stored
from pipeline.corpus.joining import Piece, join_tables
from pipeline.corpus.manifest import Video
from pipeline.corpus.segments import Cut, Segment, SegmentEntry, may_be_cut, segments_of
from pipeline.corpus.settings import CorpusSettings
from pipeline.corpus.storage import About, Entry, Storage, recording_name, segments_folder, table_name
from pipeline.settings import Settings, changed_settings
from pipeline.terminal import run_tidily
from stages.export import ExportSettings, Selection, export_as, write_table
from stages.reconstruction import shared_network, uses_network
from stages.recording import RECORDING, read_recording
from stages.sources import source_for
from stages.sources.length import seekable_length
from stages.sources.timestamps import CLOSE


class Worker:
    """It does one video, or segment of one, after the other, or several at once, which then share a network.

    It is made where it works: on a node of the cluster, in a process of its own.
    """

    def __init__(self, place: str, settings: Settings, about: About, corpus: CorpusSettings) -> None:
        self._storage = Storage(place)
        self._settings, self._corpus = settings, corpus
        self._about = about
        self._shared = shared_network(settings.reconstruct) if uses_network(settings.reconstruct) else None

    def do(self, video: Video, attempt: int) -> Entry | Cut:
        """Do a video to its end, and return its entry, which is in the storage by then; or say how a long one is cut.

        What is wrong with the video itself is in the entry. Raises OutputError where results cannot be kept.
        """
        start = time.monotonic()
        with TemporaryDirectory(prefix="hamba-corpus-") as name:
            try:
                cut = self._cut(video)
                if cut is not None:
                    return cut
                entry = self._whole(video, Path(name))
            except OutputError:
                raise
            except HambaError as error:
                entry = _failed(video, str(error))
        entry = self._signed(entry, attempt, time.monotonic() - start)
        self._storage.finish(entry)
        return entry

    def do_segment(self, video: Video, segment: Segment, attempt: int) -> SegmentEntry:
        """Do a segment of a video, and return what is in the storage by then. Raises OutputError, as `do`."""
        start = time.monotonic()
        with TemporaryDirectory(prefix="hamba-corpus-") as name:
            try:
                done = self._segment(video, segment, Path(name))
            except OutputError:
                raise
            except HambaError as error:
                done = SegmentEntry(segment=segment, entry=_failed(video, str(error)))
        entry = self._signed(done.entry, attempt, time.monotonic() - start)
        done = msgspec.structs.replace(done, entry=entry)
        self._storage.write(f"{segments_folder(video.id)}/{segment.name}.json", msgspec.json.encode(done))
        return done

    def join(self, video: Video, count: int, attempt: int) -> Entry:
        """Make one of a video's finished segments, and return its entry, which is in the storage by then.

        The video has failed where one of them has. Raises OutputError where results cannot be kept.
        """
        start = time.monotonic()
        done = sorted(self._finished(video, count), key=lambda each: each.segment.number)
        failed = next((each.entry for each in done if each.entry.state == "failed"), None)
        with TemporaryDirectory(prefix="hamba-corpus-") as name:
            entry = failed or self._joined(video, done, Path(name))
        seconds = sum(each.entry.seconds for each in done) + time.monotonic() - start
        attempts = max([attempt, *(each.entry.attempts for each in done)])
        entry = self._signed(msgspec.structs.replace(entry, segments=count), attempts, seconds)
        self._storage.finish(entry)
        self._storage.remove_folder(segments_folder(video.id))
        return entry

    def _signed(self, entry: Entry, attempts: int, seconds: float) -> Entry:
        settings, version = self._about.settings, self._about.version
        return msgspec.structs.replace(entry, attempts=attempts, seconds=seconds, settings=settings, version=version)

    def _cut(self, video: Video) -> Cut | None:
        """Return how a video is cut; None if it is done as a whole."""
        settings = video.settings_in(self._settings)
        if not may_be_cut(settings, self._corpus):
            return None
        length = _length(video, settings)
        segments = segments_of(length, self._corpus.segment) if length else []
        if len(segments) < 2:
            return None
        finished = {done.segment for done in self._finished(video, len(segments))}
        return Cut(len(segments), tuple(segment for segment in segments if segment not in finished))

    def _finished(self, video: Video, count: int) -> list[SegmentEntry]:
        """Return what became of a video's segments, those that are finished, when it is cut into so many."""
        names = self._storage.names(segments_folder(video.id), f"-of-{count}.json")
        return [self._storage.read_json(name, SegmentEntry, "an entry of a segment") for name in names]

    def _whole(self, video: Video, work: Path) -> Entry:
        report, recording = self._performed(video, video.settings_in(self._settings), fetched(video, work), work)
        table = work / "hands.parquet"
        rows, tracks = _write_hands(video, recording, table)
        if rows:
            self._storage.put(table_name(video.id), table)
        else:
            self._storage.remove(table_name(video.id))  # of an earlier attempt
        if self._corpus.recordings:
            self._storage.put(recording_name(video.id), recording)
        return _finished_entry(video, report, rows=rows, tracks=tracks, quality=mean_quality(table) if rows else None)

    def _segment(self, video: Video, segment: Segment, work: Path) -> SegmentEntry:
        start = segment.start or 0.0
        begin = max(start - self._corpus.warm_up, 0.0) or None
        settings = changed_settings(video.settings_in(self._settings), {"source": {"start": begin, "end": segment.end}})
        path = fetched(video, work)
        if not _has_pictures(path, settings):
            return SegmentEntry(segment=segment, entry=Entry(id=video.id, video=video.name, state="done"))
        report, recording = self._performed(video, settings, path, work)
        table = work / "hands.parquet"
        rows, _ = _write_hands(video, recording, table)
        if rows:
            self._storage.put(f"{segments_folder(video.id)}/{segment.name}.parquet", table)
        before, with_hands = _frames_before(recording, start)
        entry = _finished_entry(video, report)
        own = msgspec.structs.replace(
            entry, frames=entry.frames - before, frames_with_hands=entry.frames_with_hands - with_hands
        )
        return SegmentEntry(segment=segment, entry=own, before=before, hands=rows > 0)

    def _joined(self, video: Video, done: list[SegmentEntry], work: Path) -> Entry:
        folder, pieces = segments_folder(video.id), []
        for each in done:
            table = work / f"{each.segment.name}.parquet" if each.hands else None
            if table is not None:
                self._storage.fetch(f"{folder}/{table.name}", table)
            pieces.append(Piece(table, (each.segment.start or 0.0) - CLOSE, each.before, each.entry.frames))
        path = work / "hands.parquet"
        rows, tracks = join_tables(pieces, path)
        if rows:
            self._storage.put(table_name(video.id), path)
        else:
            self._storage.remove(table_name(video.id))
        return Entry(
            id=video.id,
            video=video.name,
            state="done",
            reason="; ".join(dict.fromkeys(each.entry.reason for each in done if each.entry.reason)),
            frames=sum(each.entry.frames for each in done),
            frames_with_hands=sum(each.entry.frames_with_hands for each in done),
            rows=rows,
            tracks=tracks,
            quality=mean_quality(path) if rows else None,
        )

    def _performed(self, video: Video, settings: Settings, path: str, work: Path) -> tuple[Outcome, Path]:
        """Reconstruct, and return what became of it and its recording. Raises SourceError where not all was."""
        task = Task(0, path, work / "results", settings, None)
        outcome = perform(task, lambda progress: None, run=run_tidily, shared=self._shared)
        if outcome.state != "done":
            raise SourceError(outcome.reason.replace(path, video.name))
        return outcome, task.folder / RECORDING


def _finished_entry(video: Video, outcome: Outcome, **values: Any) -> Entry:
    report = outcome.report or {}
    return Entry(
        id=video.id,
        video=video.name,
        state="done",
        reason=outcome.reason,
        frames=int(report.get("frames", 0)),
        frames_with_hands=int(report.get("frames_with_hands", 0)),
        **values,
    )


def _failed(video: Video, reason: str) -> Entry:
    return Entry(id=video.id, video=video.name, state="failed", reason=reason)


def _length(video: Video, settings: Settings) -> float | None:
    """Return the seconds of a video that can be cut; None of any other."""
    if video.in_a_store:
        with stored(video) as opened:
            return seekable_length(opened, settings.source)
    path = Path(video.path)
    return seekable_length(str(path.resolve()), settings.source) if path.is_file() else None


def _has_pictures(path: str, settings: Settings) -> bool:
    """Return whether a part of a video has pictures: one that shows nothing new for minutes may have none."""
    source = source_for(path, settings.source)
    try:
        source.open()
    except NoPicturesError:
        return False
    finally:
        source.close()
    return True


def _frames_before(recording: Path, start: float) -> tuple[int, int]:
    """Return how many frames of a recording are before this time, s, and how many of them have hands."""
    frames = with_hands = 0
    for result in read_recording(recording).results():
        if result.frame.pts >= start - CLOSE:
            break
        frames += 1
        with_hands += bool(result.hands)
    return frames, with_hands


def _write_hands(video: Video, recording: Path, path: Path) -> tuple[int, int]:
    """Write the table of a recording's hands, and return how many rows and tracks it has; without hands, nothing."""
    tracks = rows = 0

    def write(
        selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
    ) -> list[Path]:
        nonlocal tracks, rows
        tracks, table = len(selection.tracks), folder / path.name
        rows = write_table(selection, table, video.name, on_progress)
        return [table]

    with suppress(NoHandsError):
        export_as(write, path, recording)
    return rows, tracks


def mean_quality(table: Path) -> float | None:
    """Return the mean quality of the hands of a table; none where it is not known."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    mean: float | None = pc.mean(pq.read_table(table, columns=["quality"])["quality"]).as_py()
    return mean
