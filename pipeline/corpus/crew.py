"""The workers of a corpus on a Ray cluster, and which of them has which videos."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pipeline.corpus.manifest import Video
from pipeline.corpus.segments import Segment


@dataclass
class Job:
    """A video, a segment of one that is done in segments, or the joining of so many segments."""

    video: Video
    segment: Segment | None = None
    join: int = 0
    deaths: int = 0  # of workers that were at it
    alone: bool = False  # it has a worker for itself, since it may have killed one, or since all have

    def begin(self, worker: Any) -> Any:
        """Have a worker begin, and return Ray's reference to the result."""
        attempt = self.deaths + 1
        if self.join:
            return worker.join.remote(self.video, self.join, attempt)
        if self.segment is not None:
            return worker.do_segment.remote(self.video, self.segment, attempt)
        return worker.do.remote(self.video, attempt)


class Crew:
    """Workers on the cluster, each an actor of Ray that `make` made, and the jobs that each has.

    Jobs are given to workers before they have begun, so that these find one when they do. If a node is lost, those in
    the place of its workers may wait for room for ever: such jobs are withdrawn when others have nothing to do.
    """

    def __init__(self, ray: Any, make: Callable[[], Any], at_once: int) -> None:
        self._ray, self._make, self._at_once = ray, make, at_once
        self._workers: list[Any] = []
        self._beginnings: list[Any] = []  # Ray's reference to the news that a worker has begun; None after it came
        self._jobs: dict[Any, tuple[int, Any, Job]] = {}  # by Ray's reference to the result
        self._load: list[int] = []
        self._closed: set[int] = set()  # workers with a job that is alone

    def __len__(self) -> int:
        return len(self._workers)

    @property
    def in_flight(self) -> list[Any]:
        """References to the results that are awaited."""
        return list(self._jobs)

    def grow(self, size: int) -> None:
        """Have at least so many workers."""
        while len(self._workers) < size:
            self._workers.append(self._make())
            self._beginnings.append(self._workers[-1].__ray_ready__.remote())
            self._load.append(0)

    def free(self, job: Job) -> int | None:
        """Return a worker that can take a job, the least busy one of those that have begun if they can, or none."""
        most = 1 if job.alone else self._at_once
        able = [n for n, load in enumerate(self._load) if load < most and n not in self._closed]
        return min(able, key=lambda n: (not self._has_begun(n), self._load[n]), default=None)

    def give(self, number: int, job: Job) -> None:
        """Give a worker a job."""
        worker = self._workers[number]
        ref = job.begin(worker)
        self._jobs[ref] = number, worker, job
        self._load[number] += 1
        if job.alone:
            self._closed.add(number)

    def take(self, ref: Any) -> Job:
        """Return the job of a result that has come; its worker is free for another."""
        number, _, job = self._jobs.pop(ref)
        self._load[number] -= 1
        if job.alone:
            self._closed.discard(number)
        return job

    def replace(self, ref: Any) -> bool:
        """Put a new worker in the place of the one that this result was awaited from, unless that was done before.

        Ray could restart an actor itself; what is sent to one that is being restarted would then fail as well, and be
        blamed for the death.
        """
        number, worker, _ = self._jobs[ref]
        if self._workers[number] is not worker:
            return False
        self._renew(number)
        return True

    def withdraw(self, *, to_begin: bool = True) -> list[Job]:
        """Take back the jobs of a worker that has not begun, if one that has is idle; return them.

        If they are not to be begun by another, those of all workers that have not begun.
        """
        if to_begin and not any(self._has_begun(n) for n, load in enumerate(self._load) if not load):
            return []
        waiting = dict.fromkeys(
            number
            for number, worker, _ in self._jobs.values()
            if worker is self._workers[number] and not self._has_begun(number)
        )
        withdrawn = []
        for number in list(waiting)[: 1 if to_begin else None]:
            worker = self._workers[number]
            refs = [ref for ref, (_, one, _) in self._jobs.items() if one is worker]
            withdrawn += [self.take(ref) for ref in refs]
            self._ray.kill(worker)
            if to_begin:
                self._renew(number)
        return withdrawn

    def _renew(self, number: int) -> None:
        self._workers[number] = self._make()
        self._beginnings[number] = self._workers[number].__ray_ready__.remote()

    def _has_begun(self, number: int) -> bool:
        beginning = self._beginnings[number]
        if beginning is not None and self._ray.wait([beginning], timeout=0)[0]:
            beginning = self._beginnings[number] = None
        return beginning is None
