"""What a worker does with a video: fetch it, reconstruct it, keep its hands, and say last that it is finished."""

import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from hamba_core.errors import HambaError, NoHandsError, OutputError, SourceError
from pipeline.batch import Outcome, Task, perform
from pipeline.corpus.manifest import Video
from pipeline.corpus.storage import About, Entry, Storage, recording_name, table_name
from pipeline.settings import Settings, overridden_settings
from pipeline.terminal import run_tidily
from stages.export import ExportSettings, Selection, export_as, write_table
from stages.reconstruction import shared_network, uses_network
from stages.recording import RECORDING


class Worker:
    """It does one video after the other, or several at once, which then share a network.

    It is made where it works: on a node of the cluster, in a process of its own.
    """

    def __init__(self, place: str, settings: Settings, about: About, *, recordings: bool) -> None:
        self._storage = Storage(place)
        self._settings, self._recordings = settings, recordings
        self._about = about
        self._shared = shared_network(settings.reconstruct) if uses_network(settings.reconstruct) else None

    def do(self, video: Video, attempt: int) -> Entry:
        """Do a video to its end, and return its entry, which is in the storage by then.

        What is wrong with the video itself is in the entry. Raises OutputError where results cannot be kept.
        """
        start = time.monotonic()
        with TemporaryDirectory(prefix="hamba-corpus-") as name:
            entry = self._done(video, Path(name))
        whole = msgspec.structs.replace(
            entry,
            attempts=attempt,
            seconds=time.monotonic() - start,
            settings=self._about.settings,
            version=self._about.version,
        )
        self._storage.finish(whole)
        return whole

    def _done(self, video: Video, work: Path) -> Entry:
        try:
            path = self._fetched(video, work)
            overrides = [f"{key}={value}" for key, value in video.settings]
            settings = overridden_settings(self._settings, overrides)
        except OutputError:
            raise
        except HambaError as error:
            return Entry(id=video.id, video=video.name, state="failed", reason=str(error))
        task = Task(0, path, work / "results", settings, None)
        outcome = perform(task, lambda progress: None, run=run_tidily, shared=self._shared)
        if outcome.state != "done":
            return Entry(id=video.id, video=video.name, state="failed", reason=outcome.reason.replace(path, video.name))
        return self._kept(video, outcome, task.folder / RECORDING, work)

    def _fetched(self, video: Video, work: Path) -> str:
        """Return a path that decoders read; one in an object store is copied to this machine."""
        if not video.in_a_store:
            return video.path
        from pyarrow import ArrowException
        from pyarrow.fs import FileSystem

        local = work / f"video{Path(video.path.partition('?')[0]).suffix}"
        try:
            system, path = FileSystem.from_uri(video.path)
            with system.open_input_stream(path) as stream, local.open("wb") as file:
                while block := stream.read(1 << 22):
                    file.write(block)
        except (ArrowException, OSError) as error:
            raise SourceError(f"{video.name}: expected an object that can be read, found: {error}") from error
        return str(local)

    def _kept(self, video: Video, outcome: Outcome, recording: Path, work: Path) -> Entry:
        """Put the results where they are kept, and return the entry."""
        report = outcome.report or {}
        entry = Entry(
            id=video.id,
            video=video.name,
            state="done",
            reason=outcome.reason,
            frames=int(report.get("frames", 0)),
            frames_with_hands=int(report.get("frames_with_hands", 0)),
        )
        tracks = rows = 0

        def write(
            selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
        ) -> list[Path]:
            nonlocal tracks, rows
            tracks, path = len(selection.tracks), folder / "hands.parquet"
            rows = write_table(selection, path, video.name, on_progress)
            return [path]

        try:
            table = export_as(write, work / "hands.parquet", recording)
        except NoHandsError:
            self._storage.remove(table_name(video.id))  # of an earlier attempt
        else:
            self._storage.put(table_name(video.id), table)
            entry = msgspec.structs.replace(entry, rows=rows, tracks=tracks, quality=mean_quality(table))
        if self._recordings:
            self._storage.put(recording_name(video.id), recording)
        return entry


def mean_quality(table: Path) -> float | None:
    """Return the mean quality of the hands of a table; none where it is not known."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    mean: float | None = pc.mean(pq.read_table(table, columns=["quality"])["quality"]).as_py()
    return mean
