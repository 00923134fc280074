"""A corpus on a Ray of this machine: every video once, whatever dies, and the hands that `hamba run` finds."""

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from hamba_core.errors import ConfigurationError, OutputError, PipelineError, SourceError
from pipeline.corpus import (
    CorpusSettings,
    Cut,
    Entry,
    Segment,
    SegmentEntry,
    Storage,
    Video,
    run_corpus,
    segments_folder,
    segments_of,
    write_report,
)
from pipeline.corpus.running import _connect
from pipeline.corpus.totals import kind_of
from pipeline.settings import Settings, load_settings
from stages.assets import CLIP

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning:ray.*")

ray: Any = importlib.import_module("ray")
cluster_utils: Any = importlib.import_module("ray.cluster_utils")

ONE = CorpusSettings(workers=1)


class Stand:
    """In the place of a worker: it keeps an entry for each video, and dies where the video's name says so."""

    def __init__(self, place: str, settings: Settings, about: Any, corpus: CorpusSettings) -> None:
        self._storage = Storage(place)
        self._place = Path(place)

    def do(self, video: Video, attempt: int) -> Entry | Cut:
        if "long" in video.path:
            folder = segments_folder(video.id)
            finished = {name.rpartition("/")[2] for name in self._storage.names(folder, ".json")}
            left = (part for part in segments_of(40.0, 10.0) if f"{part.name}.json" not in finished)
            return Cut(4, tuple(left))
        return self._done(video, attempt)

    def do_segment(self, video: Video, segment: Segment, attempt: int) -> SegmentEntry:
        path = video.path.replace(".mp4", f"-{segment.number}.mp4")
        if "poison" in path and segment.number != 2:
            path = path.replace("poison", "fine")
        entry = self._done(Video(path), attempt, keep=False)
        if "bad" in path and segment.number == 1:
            entry = msgspec.structs.replace(entry, state="failed", reason="it is damaged")
        done = SegmentEntry(segment=segment, entry=entry)
        self._storage.write(f"{segments_folder(video.id)}/{segment.name}.json", msgspec.json.encode(done))
        return done

    def join(self, video: Video, count: int, attempt: int) -> Entry:
        names = list(self._storage.names(segments_folder(video.id), ".json"))
        entries = [msgspec.json.decode(self._storage.read(name), type=SegmentEntry).entry for name in names]
        failed = next((entry for entry in entries if entry.state == "failed"), None)
        assert failed is not None or len(names) == count
        entry = Entry(
            id=video.id, video=video.name, state=failed.state if failed else "done",
            reason=failed.reason if failed else "", frames=sum(entry.frames for entry in entries), segments=count,
        )  # fmt: skip
        self._storage.finish(entry)
        self._storage.remove_folder(segments_folder(video.id))
        return entry

    def _done(self, video: Video, attempt: int, *, keep: bool = True) -> Entry:
        with (self._place.parent / "log").open("a") as log:
            log.write(f"{video.path}\n")
        if "slow" in video.path:
            time.sleep(1.0)
        if "poison" in video.path or ("once" in video.path and attempt == 1):
            os._exit(11)
        if "odd" in video.path:
            raise ValueError("this cannot be")
        entry = Entry(id=video.id, video=video.name, state="done", attempts=attempt, frames=10, rows=20)
        if keep:
            self._storage.finish(entry)
        return entry


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray.init(
        "local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        configure_logging=False,
    )
    yield
    ray.shutdown()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    names = [*(f"good{number}.mp4" for number in range(12)), "poison.mp4", "once.mp4", "odd.mp4", "good3.mp4"]
    path.write_text("path\n" + "\n".join(f"/{name}" for name in names))
    return path


def attempts(tmp_path: Path) -> dict[str, int]:
    names = [Path(line).stem for line in (tmp_path / "log").read_text().splitlines()]
    return {name: names.count(name) for name in names}


@pytest.mark.parametrize("at_once", [1, 3])
def test_every_video_ends_once_whatever_dies(cluster: None, manifest: Path, tmp_path: Path, at_once: int) -> None:
    place = str(tmp_path / "out")
    corpus = CorpusSettings(workers=2, at_once=at_once, cpus=0.5)
    totals = run_corpus([str(manifest)], place, Settings(), corpus, worker=Stand)
    assert (totals.expected, totals.videos, totals.done, totals.failed) == (16, 15, 13, 2)
    assert (totals.repeated, totals.left) == (1, 0)
    entries = {Path(entry.video).stem: entry for entry in Storage(place).entries()}
    assert len(entries) == 15
    assert {name for name, entry in entries.items() if entry.state == "failed"} == {"poison", "odd"}
    assert "its worker died 3 times" in entries["poison"].reason
    assert "unexpected ValueError: this cannot be" in entries["odd"].reason
    assert (totals.frames, totals.hands) == (130, 260)
    tried = attempts(tmp_path)
    # One that was at work beside a video that killed its worker is done again; it is not blamed.
    assert all(1 <= tried[f"good{number}"] <= (1 if at_once == 1 else 5) for number in range(12))
    index = pq.read_table(Path(place) / "index.parquet")
    assert sorted(index["id"].to_pylist()) == sorted(entry.id for entry in entries.values())


@pytest.mark.parametrize("at_once", [1, 3])
def test_workers_that_there_is_no_room_for_keep_no_video_waiting(cluster: None, tmp_path: Path, at_once: int) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\n" + "\n".join(f"/good{number}.mp4" for number in range(8)))
    corpus = CorpusSettings(workers=4, cpus=2.0, at_once=at_once)  # room for two
    totals = run_corpus([str(manifest)], str(tmp_path / "out"), Settings(), corpus, worker=Stand)
    assert (totals.done, totals.failed, totals.deaths) == (8, 0, 0)
    assert set(attempts(tmp_path).values()) == {1}


def test_to_stop_waits_for_no_worker_that_has_not_begun(cluster: None, tmp_path: Path) -> None:
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\n" + "\n".join(f"/good{number}.mp4" for number in range(8)))
    asked = False

    def stop_once(totals: Any) -> None:
        nonlocal asked
        if totals.done and not asked:
            asked = True
            signal.raise_signal(signal.SIGTERM)

    corpus = CorpusSettings(workers=4, cpus=4.0)  # room for one
    totals = run_corpus([str(manifest)], str(tmp_path / "out"), Settings(), corpus, worker=Stand, on_totals=stop_once)
    assert 1 <= totals.done <= 2
    assert totals.failed == 0


def test_to_resume_does_what_is_left_and_nothing_twice(cluster: None, manifest: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "out")
    run_corpus([str(manifest)], place, Settings(), ONE, worker=Stand)
    before = attempts(tmp_path)
    with pytest.raises(OutputError, match="--resume goes on with it"):
        run_corpus([str(manifest)], place, Settings(), ONE, worker=Stand)
    other = load_settings("offline", ["detect.max_hands=5"])
    with pytest.raises(OutputError, match="made with other settings"):
        run_corpus([str(manifest)], place, other, ONE, resume=True, worker=Stand)
    storage = Storage(place)
    lost = next(entry for entry in storage.entries() if "good7" in entry.video)
    storage.remove(f"done/{lost.id[:2]}/{lost.id}.json")
    totals = run_corpus([str(manifest)], place, Settings(), ONE, resume=True, worker=Stand)
    assert (totals.skipped, totals.done, totals.failed) == (14, 1, 0)
    assert attempts(tmp_path) == {**before, "good7": 2}
    totals = run_corpus([str(manifest)], place, Settings(), ONE, resume=True, retry_failed=True, worker=Stand)
    assert (totals.skipped, totals.done, totals.failed) == (13, 0, 2)


DEADLY = pytest.param(
    "long-poison", "segment 3-of-4: its worker died 3 times", "long-once", 4,
    marks=[pytest.mark.slow, pytest.mark.timeout(600)],
)  # fmt: skip


@pytest.mark.parametrize(("failing", "reason", "other", "segments"), [("long-bad", "it is damaged", "good", 1), DEADLY])
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_long_video_ends_once_as_a_whole(
    cluster: None, tmp_path: Path, at_once: int, failing: str, reason: str, other: str, segments: int
) -> None:
    manifest, place = tmp_path / "list.csv", str(tmp_path / "out")
    manifest.write_text(f"path\n/{other}.mp4\n/{failing}.mp4\n/long.mp4\n")
    corpus = CorpusSettings(workers=2, at_once=at_once, cpus=0.5)
    totals = run_corpus([str(manifest)], place, Settings(), corpus, worker=Stand)
    assert (totals.expected, totals.done, totals.failed) == (3, 2, 1)
    entries = {Path(entry.video).stem: entry for entry in Storage(place).entries()}
    assert (entries["long"].frames, entries["long"].segments) == (40, 4)
    assert (entries[other].frames, entries[other].segments) == (10 * segments, segments)
    assert entries[failing].state == "failed"
    assert reason in entries[failing].reason
    assert not list(Storage(place).names("segments", ""))


def test_to_resume_does_the_segments_that_are_left(cluster: None, tmp_path: Path) -> None:
    manifest, place = tmp_path / "list.csv", str(tmp_path / "out")
    manifest.write_text("path\n/long.mp4\n")
    storage, video = Storage(place), Video("/long.mp4")
    for segment in segments_of(40.0, 10.0)[:2]:  # as a driver left it that was killed
        done = SegmentEntry(segment=segment, entry=Entry(id=video.id, video=video.name, state="done", frames=10))
        storage.write(f"{segments_folder(video.id)}/{segment.name}.json", msgspec.json.encode(done))
    totals = run_corpus([str(manifest)], place, Settings(), ONE, worker=Stand)
    assert (totals.done, totals.segments, totals.frames) == (1, 2, 40)
    assert attempts(tmp_path) == {"long-2": 1, "long-3": 1}
    assert not list(storage.names("segments", ""))


DRIVER = """
from test_running import Stand
from pipeline.corpus import CorpusSettings, run_corpus
from pipeline.settings import Settings
run_corpus([{manifest!r}], {place!r}, Settings(), CorpusSettings(workers=2), resume=True, worker=Stand)
"""


@pytest.mark.slow
def test_without_an_address_no_other_cluster_is_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if ray.is_initialized():
        ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # as after a cluster that was killed
    (tmp_path / "a.mp4").touch()
    totals = run_corpus([str(tmp_path / "a.mp4")], str(tmp_path / "out"), Settings(), ONE, worker=Stand)
    assert (totals.done, totals.failed) == (1, 0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_driver_that_is_killed_loses_nothing(tmp_path: Path) -> None:
    manifest, place = tmp_path / "list.csv", tmp_path / "out"
    manifest.write_text("path\n" + "\n".join(f"/slow{number}.mp4" for number in range(20)))
    program = DRIVER.format(manifest=str(manifest), place=str(place))
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]  # for the workers too
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    for least in (3, 8):
        driver = subprocess.Popen([sys.executable, "-c", program], env=environment, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 200
        while not place.exists() or len(Storage(str(place)).finished()) < least:
            assert driver.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        driver.kill()
        driver.wait()
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=300)
    assert [entry.state for entry in Storage(str(place)).entries()] == ["done"] * 20
    # At most the two in flight at each kill are done again.
    assert sum(attempts(tmp_path).values()) <= 24


@pytest.mark.timeout(300)
def test_its_hands_are_those_of_a_run(cluster: None, tmp_path: Path) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    cut = ["-v", "error", "-ss", "1", "-i", str(CLIP), "-t", "0.5", "-an", str(videos / "clip.mp4")]
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    subprocess.run(["ffmpeg", *cut], check=True)
    (videos / "broken.mp4").write_bytes((videos / "clip.mp4").read_bytes()[:2000])
    settings = load_settings("offline")
    place = tmp_path / "out"
    totals = run_corpus([str(videos)], str(place), settings, ONE)
    assert (totals.done, totals.failed) == (1, 1)
    storage = Storage(str(place))
    write_report(storage, 1.0)
    assert "broken.mp4" in (place / "report.html").read_text()
    hands = ds.dataset(place / "hands", partitioning="hive").to_table()
    program = [sys.executable, "-m", "pipeline.commands.cli", "run", str(videos / "clip.mp4"), "--no-overlay"]
    run = subprocess.run(
        [*program, "--out", str(tmp_path / "run"), "--export", "parquet"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    alone = pq.read_table(tmp_path / "run" / "hands.parquet")
    assert hands.num_rows == alone.num_rows == totals.hands > 0
    for name in ("frame", "track", "side", "pts"):
        assert hands[name].to_pylist() == alone[name].to_pylist()
    for name in ("joints", "hand_pose", "translation", "joints_2d"):
        found, expected = (np.array(table[name].to_pylist()) for table in (hands, alone))
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)  # pixels are float32 too


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nodes_that_die_lose_nothing(tmp_path: Path) -> None:
    if ray.is_initialized():
        ray.shutdown()
    manifest, place = tmp_path / "list.csv", tmp_path / "out"
    manifest.write_text("path\n" + "\n".join(f"/slow{number}.mp4" for number in range(24)))
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    killed = 0

    def kill_one(totals: Any) -> None:
        nonlocal killed
        if nodes and totals.done >= 4 * (killed + 1):
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            killed += 1

    try:
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        how = CorpusSettings(workers=3, attempts=5)
        totals = run_corpus([str(manifest)], str(place), Settings(), how, on_totals=kill_one, worker=Stand)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert (killed, totals.done, totals.failed) == (2, 24, 0)
    assert len(list(Storage(str(place)).entries())) == 24


def test_an_autoscaler_is_asked_for_room_for_what_is_left(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sdk: Any = importlib.import_module("ray.autoscaler.sdk")
    kv: Any = importlib.import_module("ray.experimental.internal_kv")
    asked: list[Any] = []
    ask = sdk.request_resources

    def told(**bundles: Any) -> None:
        ask(**bundles)
        asked.append(msgspec.json.decode(kv._internal_kv_get("autoscaler_resource_request")))

    monkeypatch.setattr(sdk, "request_resources", told)
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\n" + "\n".join(f"/good{number}.mp4" for number in range(6)))
    run_corpus([str(manifest)], str(tmp_path / "one"), Settings(), ONE, worker=Stand)
    assert not asked  # a Ray of this machine has none
    how = CorpusSettings(address="auto", cpus=0.5, at_once=2)
    run_corpus([str(manifest)], str(tmp_path / "two"), Settings(), how, worker=Stand)
    assert asked == [3 * [{"CPU": 0.5}], []]


def test_no_cluster_at_the_address_is_an_error(tmp_path: Path) -> None:
    if ray.is_initialized():
        ray.shutdown()
    (tmp_path / "a.mp4").touch()
    with pytest.raises(ConfigurationError, match=r"expected a Ray cluster.*ray start --head"):
        run_corpus([str(tmp_path)], str(tmp_path / "out"), Settings(), CorpusSettings(address="127.0.0.1:1"))
    assert not list((tmp_path / "out").rglob("*.json"))  # nothing that the next try would take for a corpus


class SlowRay:
    """Ray on a machine that is busy: it starts at the third try, or never."""

    def __init__(self, starts_at: int) -> None:
        self.left, self.stopped = starts_at, 0

    def init(self, address: str, **options: Any) -> None:
        self.left -= 1
        if self.left:
            raise Exception("The current node timed out during startup.")

    def shutdown(self) -> None:
        self.stopped += 1


def test_ray_may_be_slow_to_start() -> None:
    slow = SlowRay(3)
    _connect(slow, CorpusSettings())
    assert (slow.left, slow.stopped) == (0, 2)
    with pytest.raises(PipelineError, match=r"expected Ray to start on this machine, found 4 times.*timed out"):
        _connect(SlowRay(-1), CorpusSettings())


def test_what_begins_nothing_leaves_nothing_in_the_way(cluster: None, tmp_path: Path) -> None:
    manifest, place = tmp_path / "list.csv", str(tmp_path / "out")
    manifest.write_text("path\n")
    with pytest.raises(SourceError, match="found none"):
        run_corpus([str(manifest)], place, Settings(), ONE, worker=Stand)
    manifest.write_text("path\n/good.mp4\n")
    assert run_corpus([str(manifest)], place, Settings(), ONE, worker=Stand).done == 1


def test_to_resume_what_is_finished_needs_no_cluster(cluster: None, manifest: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "out")
    run_corpus([str(manifest)], place, Settings(), ONE, worker=Stand)
    ray.shutdown()
    totals = run_corpus([str(manifest)], place, Settings(), ONE, resume=True, worker=Stand)
    assert (totals.skipped, totals.done, totals.failed, totals.workers) == (15, 0, 0, 0)
    assert not ray.is_initialized()


def test_failures_are_counted_by_kind_without_names_and_numbers() -> None:
    def kind(reason: str) -> str:
        return kind_of(Entry(id="", video="a/b.mp4", state="failed", reason=reason))

    cut = "a/b.mp4: expected a whole video, found that it breaks off at {} s of the 10.00 s its header promises"
    assert kind(cut.format(0.03)) == kind(cut.format(7)) == "expected a whole video, found that it breaks off at N s …"
    assert kind("its worker died 3 times") == "its worker died N times"
    assert kind("") == "unknown"
