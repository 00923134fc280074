"""The driver of a corpus: it gives videos to workers on a Ray cluster, and counts what becomes of them.

Workers are Ray's actors: Ray places them, notices where a process or a node dies, and brings results back. What is ours
is the queue: few videos are in flight, so that memory is flat whatever the corpus's size.
"""

import os
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from threading import Event
from typing import Any, Final

import msgspec
from pydantic import Field

from hamba_core.errors import ConfigurationError, OutputError
from hamba_core.packages import needed_for
from pipeline.corpus.crew import Crew, Job
from pipeline.corpus.manifest import videos_in
from pipeline.corpus.progress import RayMetrics
from pipeline.corpus.storage import About, Entry, Storage
from pipeline.corpus.totals import Totals
from pipeline.corpus.working import Worker
from pipeline.settings import Settings
from stages.common.stop_signals import stopped_by_signals
from stages.settings import StageSettings

ABOUT: Final = "corpus.json"
_WAIT: Final = 1.0  # s
_PLACE: Final = re.compile(r"(?:ray://)?(?P<host>[^:/]+):(?P<port>\d{1,5})")
_ANSWER: Final = 10.0  # s for a cluster to answer
_LOOK: Final = 10.0  # s between looks at how large the cluster is


class CorpusSettings(StageSettings):
    """Settings of how a corpus is done."""

    address: str | None = Field(None, description="of a Ray cluster: auto, or ray://…; none: one on this machine")
    workers: int | None = Field(None, ge=1, description="processes; none: as many as the cluster has room for")
    cpus: float = Field(1.0, gt=0, description="processors of a worker")
    gpus: float = Field(0.0, ge=0, description="GPUs of a worker: 1, or a share such as 0.25")
    at_once: int = Field(1, ge=1, le=64, description="videos that a worker does at once, which share its network")
    attempts: int = Field(3, ge=1, description="of a video whose worker dies, until it is left alone")
    recordings: bool = Field(False, description="keep each video's recording besides its table")


def run_corpus(
    names: Sequence[str],
    place: str,
    settings: Settings,
    corpus: CorpusSettings,
    *,
    resume: bool = False,
    retry_failed: bool = False,
    on_totals: Callable[[Totals], None] = lambda totals: None,
    worker: type[Any] = Worker,
) -> Totals:
    """Reconstruct all videos that are named, on a cluster, and keep results in `place` (see `storage`).

    To `resume` is to go by the entries there: no finished video is done again, those that failed only to
    `retry_failed`. Ctrl-C lets the videos in flight end; a second one does not wait. `worker` is another class in the
    place of `Worker`, for measurements. Raises ConfigurationError, SourceError, OutputError, DependencyError.
    """
    with needed_for("hamba corpus"):
        import ray
    storage = Storage(place)
    about = _about(settings)
    finished = _finished(storage, about, resume=resume, retry_failed=retry_failed)
    totals = Totals(expected=sum(1 for _ in videos_in(names)))
    waiting = _jobs(names, finished, corpus.at_once, totals)
    first = next(waiting, None)
    if first is None:  # all is done: no cluster is needed
        storage.write_index()
        return totals
    waiting = chain([first], waiting)
    own = not ray.is_initialized()
    if own:
        _connect(ray, corpus)
    storage.write(ABOUT, msgspec.json.encode(about))  # not before all that may be wrong with what was asked for
    try:
        options: dict[str, Any] = {
            "num_cpus": corpus.cpus, "num_gpus": corpus.gpus, "max_concurrency": corpus.at_once,
            "max_restarts": 0, "max_task_retries": 0,
        }  # fmt: skip
        remote: Any = ray.remote(**options)(worker)

        def make() -> Any:
            return remote.remote(place, _of_corpus(settings, corpus), about, recordings=corpus.recordings)

        _Driver(ray, Crew(make, corpus.at_once), storage, corpus, about, totals).run(waiting, on_totals)
    finally:
        if own:
            ray.shutdown()
    storage.write_index()
    return totals


class _Driver:
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
        self._again: deque[Job] = deque()  # whose worker died

    def run(self, waiting: Iterator[Job], on_totals: Callable[[Totals], None]) -> None:
        """Do all jobs, or let those in flight end after a signal."""
        stop = Event()
        looked = -_LOOK
        job: Job | None = None
        with stopped_by_signals(stop.set):
            while True:
                if time.monotonic() - looked >= _LOOK:
                    looked = time.monotonic()
                    self._crew.grow(self._corpus.workers or _room(self._ray, self._corpus))
                    self._totals.workers = len(self._crew)
                while not stop.is_set():
                    job = job or (self._again.popleft() if self._again else next(waiting, None))
                    number = self._crew.free(job) if job is not None else None
                    if job is None or number is None:
                        break
                    self._crew.give(number, job)
                    job = None
                if not self._crew.in_flight:
                    return
                ready, _ = self._ray.wait(self._crew.in_flight, num_returns=1, timeout=_WAIT)
                for ref in ready:
                    self._settle(ref)
                self._metrics.tell(self._totals)
                on_totals(self._totals)

    def _settle(self, ref: Any) -> None:
        """Take a result: count its entry, or have the video done again where its worker died."""
        errors = self._ray.exceptions
        try:
            entry = self._ray.get(ref)
        except errors.RayTaskError as error:
            job = self._crew.take(ref)
            cause = error.cause if isinstance(error.cause, Exception) else error
            if job.deaths + 1 < self._corpus.attempts:
                self._do_again(job, blamed=True)
            elif isinstance(cause, OutputError):
                raise cause from error
            else:
                self._leave(job, f"unexpected {type(cause).__name__}: {_short(cause)}")
        except (errors.RayActorError, errors.ObjectLostError) as error:
            self._totals.deaths += self._crew.replace(ref)
            job = self._crew.take(ref)
            if not job.alone:  # another one of that worker's may have killed it
                self._do_again(job, blamed=False)
            elif job.deaths + 1 < self._corpus.attempts:
                self._do_again(job, blamed=True)
            else:
                self._leave(job, f"its worker died {self._corpus.attempts} times, the last time: {_short(error)}")
        else:
            self._crew.take(ref)
            self._totals.count(entry)

    def _do_again(self, job: Job, *, blamed: bool) -> None:
        job.alone = True
        job.deaths += blamed
        self._again.append(job)

    def _leave(self, job: Job, reason: str) -> None:
        """Keep that a video failed for good."""
        video = job.video
        entry = Entry(
            id=video.id,
            video=video.name,
            state="failed",
            reason=reason,
            attempts=job.deaths + 1,
            settings=self._about.settings,
            version=self._about.version,
        )
        self._storage.finish(entry)
        self._totals.count(entry)


def _jobs(names: Sequence[str], finished: set[bytes], at_once: int, totals: Totals) -> Iterator[Job]:
    """Yield what is to be done, each video once. It counts as it goes."""
    seen: set[bytes] = set()
    for video in videos_in(names):
        key = bytes.fromhex(video.id)
        if key in seen:
            continue
        seen.add(key)
        totals.videos += 1
        if key in finished:
            totals.skipped += 1
            continue
        yield Job(video, alone=at_once == 1)


def _finished(storage: Storage, about: About, *, resume: bool, retry_failed: bool) -> set[bytes]:
    """Return the ids of what is finished. Raises OutputError, as for batches."""
    if next(iter(storage.names("", ABOUT)), None) is None:
        return set()
    if not resume:
        raise OutputError(
            f"{storage.place} already holds the results of a corpus: --resume goes on with it, --out names another "
            "place"
        )
    earlier = msgspec.json.decode(storage.read(ABOUT), type=About)
    if earlier.settings != about.settings:
        raise OutputError(
            f"{storage.place} holds results that were made with other settings ({earlier.settings}, expected "
            f"{about.settings}): say the same --preset and --set as then, or name another place with --out"
        )
    if retry_failed:
        return {bytes.fromhex(entry.id) for entry in storage.entries() if entry.state == "done"}
    return {bytes.fromhex(name) for name in storage.finished()}


def _about(settings: Settings) -> About:
    """Return what an entry says of how it was made: a hash of all settings, and the version."""
    tree = settings.model_dump(mode="json", exclude={"publish", "overlay", "runtime"})
    described = sha256(msgspec.json.encode(tree, order="sorted")).hexdigest()[:16]
    return About(settings=described, version=version("hamba-stream"))


def _of_corpus(settings: Settings, corpus: CorpusSettings) -> Settings:
    """Return the settings that a worker has: nothing is drawn or published, meshes are recorded only to be kept."""
    record = {"vertices": settings.record.vertices if corpus.recordings else "none", "scene": "none", "enabled": True}
    return settings.model_copy(
        update={
            "record": settings.record.model_copy(update=record),
            "overlay": settings.overlay.model_copy(update={"enabled": False}),
            "publish": settings.publish.model_copy(update={"address": None}),
        }
    )


def _connect(ray: Any, corpus: CorpusSettings) -> None:
    """Join the cluster, or begin one on this machine. Raises ConfigurationError where there is none at the address."""
    threads = str(max(1, int(corpus.cpus)))
    variables = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    own: dict[str, Any] = {} if corpus.address else {"num_cpus": os.cpu_count(), "include_dashboard": None}
    address = corpus.address or "local"  # without a word Ray would join a cluster that it finds on this machine
    try:
        if corpus.address is not None and (found := _PLACE.fullmatch(corpus.address)):
            # Ray itself would wait for minutes for a machine that does not answer.
            socket.create_connection((found["host"], int(found["port"])), _ANSWER).close()
        ray.init(
            address, runtime_env={"env_vars": variables}, log_to_driver=False, logging_level="ERROR", **own
        )  # fmt: skip
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"--address {address}: expected a Ray cluster, found: {_short(error)}; `ray start --head` "
            "begins one, without --address this machine is used"
        ) from error


def _room(ray: Any, corpus: CorpusSettings) -> int:
    """Return how many workers the cluster has room for now; at least one, which an autoscaler makes room for."""
    resources = ray.cluster_resources()
    rooms = [resources.get("CPU", 0) / corpus.cpus]
    if corpus.gpus:
        rooms.append(resources.get("GPU", 0) / corpus.gpus)
    return max(1, int(min(rooms)))


def _short(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
