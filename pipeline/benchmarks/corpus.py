"""This benchmark tells what the driver of a corpus costs: videos that are no work go through it and Ray."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pipeline.corpus import CorpusSettings, Entry, Storage, Totals, Video, run_corpus
from pipeline.settings import Settings


@dataclass(frozen=True)
class CorpusBenchmark:
    """Of one driver, on one machine with its workers."""

    videos: int
    workers: int
    seconds: float  # from the first result to the last
    videos_per_second: float
    memory_first_mib: float  # the driver's largest, after a tenth of the videos
    memory_last_mib: float  # and at the end


class _Idle:
    """A worker that does nothing but say that a video is finished."""

    def __init__(self, place: str, settings: Settings, about: Any, corpus: CorpusSettings) -> None:
        self._storage = Storage(place)

    def do(self, video: Video, attempt: int) -> Entry:
        """Write the entry."""
        entry = Entry(id=video.id, video=video.name, state="done", attempts=attempt)
        self._storage.finish(entry)
        return entry


def measure_corpus(videos: int = 10_000, workers: int = 2, at_once: int = 8) -> CorpusBenchmark:
    """Send so many videos through the driver. Raises what `run_corpus` raises."""
    marks: list[tuple[int, float, float]] = []

    def on_totals(totals: Totals) -> None:
        if not marks or totals.done >= videos // 10 * len(marks):
            marks.append((totals.done, time.monotonic(), _memory()))

    with TemporaryDirectory(prefix="hamba-corpus-") as name:
        manifest = Path(name) / "videos.csv"
        with manifest.open("w") as file:
            file.write("path\n")
            file.writelines(f"/videos/{number:09}.mp4\n" for number in range(videos))
        how = CorpusSettings(workers=workers, cpus=0.1, at_once=at_once)
        run_corpus([str(manifest)], str(Path(name) / "out"), Settings(), how, on_totals=on_totals, worker=_Idle)
    (first, begin, _), (last, end, memory) = marks[0], marks[-1]
    early = next((mark for mark in marks if mark[0] >= videos // 10), marks[-1])
    seconds = end - begin
    return CorpusBenchmark(videos, workers, seconds, (last - first) / seconds, early[2], memory)


def _memory() -> float:
    """Return this process's largest memory so far, MiB; NaN on Windows, which does not tell."""
    if sys.platform == "win32":
        return float("nan")
    import resource

    largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return largest / (2**20 if sys.platform == "darwin" else 2**10)
