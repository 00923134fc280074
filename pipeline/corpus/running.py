"""A corpus is run: what is left of it is found, a cluster is joined, and the driver is set to work.

Workers are Ray's actors: Ray places them, notices where a process or a node dies, and brings results back. What is ours
is the queue (`driving`).
"""

import re
import socket
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from importlib.metadata import version
from itertools import chain
from typing import Any, Final

import msgspec

from hamba_core.errors import ConfigurationError, OutputError, PipelineError, first_line
from hamba_core.packages import needed_for
from pipeline.corpus.crew import Crew, Job
from pipeline.corpus.driving import Driver
from pipeline.corpus.manifest import videos_in
from pipeline.corpus.settings import CorpusSettings
from pipeline.corpus.storage import About, Storage, entry_name, segments_folder
from pipeline.corpus.totals import Totals
from pipeline.corpus.unused import Unused
from pipeline.corpus.working import Worker
from pipeline.settings import Settings
from stages.common.processors import processors

ABOUT: Final = "corpus.json"
_PLACE: Final = re.compile(r"(?:ray://)?(?P<host>[^:/]+):(?P<port>\d{1,5})")
_ANSWER: Final = 10.0  # s for a cluster to answer
_STARTS: Final = 4  # times that Ray is started, if it does not start in its time


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
    waiting = _jobs(names, finished, settings, corpus, totals)
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
            return remote.remote(place, _of_corpus(settings, corpus), about, corpus)

        Driver(ray, Crew(ray, make, corpus.at_once), storage, corpus, about, totals).run(waiting, on_totals)
    finally:
        if own:
            ray.shutdown()
    _sweep(storage)
    storage.write_index()
    return totals


def _jobs(
    names: Sequence[str], finished: set[bytes], settings: Settings, corpus: CorpusSettings, totals: Totals
) -> Iterator[Job]:
    """Yield what is to be done, each video once. It counts as it goes."""
    seen: set[bytes] = set()
    told = Unused(settings, recordings=corpus.recordings)
    for video in videos_in(names):
        key = bytes.fromhex(video.id)
        if key in seen:
            totals.repeated += 1
            continue
        seen.add(key)
        totals.videos += 1
        if key in finished:
            totals.skipped += 1
            continue
        told.of(video)
        yield Job(video, alone=corpus.at_once == 1)


def _finished(storage: Storage, about: About, *, resume: bool, retry_failed: bool) -> set[bytes]:
    """Return the ids of what is finished. Raises OutputError, as for batches."""
    if not storage.has(ABOUT):
        return set()
    if not resume:
        raise OutputError(
            f"{storage.place} already holds the results of a corpus: --resume goes on with it, --out names another "
            "place"
        )
    earlier = storage.read_json(ABOUT, About, "how a corpus is done")
    if earlier.settings != about.settings:
        raise OutputError(
            f"{storage.place} holds results that were made with other settings ({earlier.settings}, expected "
            f"{about.settings}): say the same --preset and --set as then, or name another place with --out"
        )
    if retry_failed:
        return {bytes.fromhex(entry.id) for entry in storage.entries() if entry.state == "done"}
    return {bytes.fromhex(name) for name in storage.finished()}


def _sweep(storage: Storage) -> None:
    """Remove segments of videos that are finished: a worker may have ended one after its video had failed."""
    begun = {name.split("/")[-2] for name in storage.names("segments", "")}
    ended = {video_id for video_id in begun if storage.has(entry_name(video_id))}
    for video_id in ended:
        storage.remove_folder(segments_folder(video_id))
    if begun == ended:
        storage.remove_folder("segments")


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
    own: dict[str, Any] = {} if corpus.address else {"num_cpus": processors(), "include_dashboard": None}
    address = corpus.address or "local"  # without a word Ray would join a cluster that it finds on this machine
    try:
        if corpus.address is not None and (found := _PLACE.fullmatch(corpus.address)):
            # Ray itself would wait for minutes for a machine that does not answer.
            socket.create_connection((found["host"], int(found["port"])), _ANSWER).close()
        _begin(ray, address, runtime_env={"env_vars": variables}, **own)
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"--address {address}: expected a Ray cluster, found: {first_line(error)}; `ray start --head` "
            "begins one, without --address this machine is used"
        ) from error


def _begin(ray: Any, address: str, **options: Any) -> None:
    """Start Ray, or join it. Ray gives a node half a minute to start, which is short on a busy machine."""
    for left in reversed(range(_STARTS)):
        try:
            ray.init(address, log_to_driver=False, logging_level="ERROR", **options)
        except (OSError, RuntimeError, ValueError):
            raise
        except Exception as error:  # Ray raises nothing more special here
            ray.shutdown()
            if not left:
                raise PipelineError(
                    f"expected Ray to start on this machine, found {_STARTS} times: {first_line(error)} Try again when "
                    "less runs here"
                ) from error
        else:
            return
