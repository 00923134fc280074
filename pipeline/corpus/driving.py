"""The driver gives jobs to workers on a Ray cluster, and takes what becomes of them.

A job is a video. A worker that finds one long says how it is cut; its segments are jobs then, and the last of them is
followed by the job of joining them. Few are in flight, so that memory is flat whatever the corpus's size.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Event
from typing import Any, Final

from hamba_core.errors import OutputError, first_line
from pipeline.corpus.crew import Crew, Job
from pipeline.corpus.manifest import Video
from pipeline.corpus.progress import RayMetrics
from pipeline.corpus.segments import Cut, SegmentEntry
from pipeline.corpus.settings import CorpusSettings
from pipeline.corpus.storage import About, Entry, Storage, segments_folder
from pipeline.corpus.totals import Totals
from stages.common.stop_signals import stopped_by_signals

_WAIT: Final = 1.0  # s
_LOOK: Final = 10.0  # s between looks at how large the cluster is
_ASKED: Final = 1000  # workers that an autoscaler is asked to make room for, at most


class Driver:
    """It gives out jobs and takes what becomes of them."""

    def __init__(
        self,
        ray: Any,
        crew: Crew,
        storage: Storage,
        corpus: CorpusSettings,
        about: About,
        totals: Totals,
    ) -> None:
        self._ray, self._crew, self._storage = ray, crew, storage
        self._corpus, self._about, self._totals = corpus, about, totals
        self._metrics = RayMetrics()
        self._again: deque[Job] = deque()  # whose worker died, and segments
        self._cut: dict[str, tuple[int, set[int]]] = {}  # of videos: how many segments, and those that are left
        self._asked = 0  # workers that an autoscaler was asked to make room for

    def run(self, waiting: Iterator[Job], on_totals: Callable[[Totals], None]) -> None:
        """Do all jobs, or let those in flight end after a signal."""
        try:
            self._run(waiting, on_totals)
        finally:
            self._ask_for_room(0)

    def _run(self, waiting: Iterator[Job], on_totals: Callable[[Totals], None]) -> None:
        stop = Event()
        looked = -_LOOK
        job: Job | None = None
        with stopped_by_signals(stop.set):
            while True:
                if time.monotonic() - looked >= _LOOK:
                    looked = time.monotonic()
                    self._ask_for_room(self._left())
                    self._crew.grow(self._corpus.workers or _room(self._ray, self._corpus))
                    self._totals.workers = len(self._crew)
                while not stop.is_set():
                    job = job or self._next(waiting)
                    number = self._crew.free(job) if job is not None else None
                    if job is None or number is None:
                        break
                    self._crew.give(number, job)
                    job = None
                if stop.is_set():
                    self._crew.withdraw(to_begin=False)
                elif job is None and (withdrawn := self._crew.withdraw()):
                    self._again += withdrawn
                    continue
                if not self._crew.in_flight:
                    return
                ready, _ = self._ray.wait(self._crew.in_flight, num_returns=1, timeout=_WAIT)
                for ref in ready:
                    self._settle(ref)
                self._metrics.tell(self._totals)
                on_totals(self._totals)

    def _left(self) -> int:
        """Return how many jobs there are that have not ended, as far as is known."""
        return self._totals.left + len(self._again)

    def _ask_for_room(self, jobs: int) -> None:
        """Ask the cluster's autoscaler, if it has one, for as many workers as jobs keep busy.

        Without that it would see only workers that wait for a place, and there is none: their number follows the room
        that there is.
        """
        wanted = min(-(-jobs // self._corpus.at_once), self._corpus.workers or _ASKED)
        if self._corpus.address is None or wanted == self._asked:
            return
        bundle = {"CPU": self._corpus.cpus, "GPU": self._corpus.gpus}
        with suppress(Exception):  # it is a hint, and a cluster may be gone as the run ends
            from ray.autoscaler.sdk import request_resources

            request_resources(bundles=[{name: share for name, share in bundle.items() if share}] * wanted)
            self._asked = wanted

    def _next(self, waiting: Iterator[Job]) -> Job | None:
        """Return what is to be done next; segments of a video that has failed are left out."""
        while self._again:
            job = self._again.popleft()
            if job.segment is None or job.video.id in self._cut:
                return job
        return next(waiting, None)

    def _settle(self, ref: Any) -> None:
        """Take a result: count its entry, or have the job done again where its worker died."""
        errors = self._ray.exceptions
        try:
            result = self._ray.get(ref)
        except errors.RayTaskError as error:
            job = self._crew.take(ref)
            cause = error.cause if isinstance(error.cause, Exception) else error
            if job.deaths + 1 < self._corpus.attempts:
                self._do_again(job, blamed=True)
            elif isinstance(cause, OutputError):
                raise cause from error
            else:
                self._leave(job, f"unexpected {type(cause).__name__}: {first_line(cause)}")
        except (errors.RayActorError, errors.ObjectLostError) as error:
            self._totals.deaths += self._crew.replace(ref)
            job = self._crew.take(ref)
            if not job.alone:  # another one of that worker's may have killed it
                self._do_again(job, blamed=False)
            elif job.deaths + 1 < self._corpus.attempts:
                self._do_again(job, blamed=True)
            else:
                self._leave(job, f"its worker died {self._corpus.attempts} times, the last time: {first_line(error)}")
        else:
            job = self._crew.take(ref)
            if isinstance(result, Cut):
                self._begin_segments(job.video, result)
            elif isinstance(result, SegmentEntry):
                self._count_segment(job.video, result)
            else:
                self._totals.count(result)

    def _begin_segments(self, video: Video, cut: Cut) -> None:
        self._cut[video.id] = cut.count, {segment.number for segment in cut.left}
        alone = self._corpus.at_once == 1
        self._again += [Job(video, segment, alone=alone) for segment in cut.left]
        if not cut.left:
            self._join(video)

    def _count_segment(self, video: Video, done: SegmentEntry) -> None:
        self._totals.segments += 1
        if video.id not in self._cut:  # it has failed
            return
        left = self._cut[video.id][1]
        left.discard(done.segment.number)
        if not left or done.entry.state == "failed":
            self._join(video)

    def _join(self, video: Video) -> None:
        count, _ = self._cut.pop(video.id)
        self._again.append(Job(video, join=count, alone=self._corpus.at_once == 1))

    def _do_again(self, job: Job, *, blamed: bool) -> None:
        job.alone = True
        job.deaths += blamed
        self._again.append(job)

    def _leave(self, job: Job, reason: str) -> None:
        """Keep that a video failed for good, once, whichever of its segments it was."""
        video = job.video
        count = self._cut.pop(video.id, (job.join or 1, set()))[0]
        if job.segment is not None:
            if count == 1:  # it has failed before
                return
            reason = f"segment {job.segment.name}: {reason}"
        entry = Entry(
            id=video.id,
            video=video.name,
            state="failed",
            reason=reason,
            attempts=job.deaths + 1,
            segments=count,
            settings=self._about.settings,
            version=self._about.version,
        )
        self._storage.finish(entry)
        self._storage.remove_folder(segments_folder(video.id))
        self._totals.count(entry)


def _room(ray: Any, corpus: CorpusSettings) -> int:
    """Return how many workers the cluster has room for now; at least one, which an autoscaler makes room for."""
    resources = ray.cluster_resources()
    rooms = [resources.get("CPU", 0) / corpus.cpus]
    if corpus.gpus:
        rooms.append(resources.get("GPU", 0) / corpus.gpus)
    return max(1, int(min(rooms)))
