"""What docs/clusters.md claims, done for real: minutes to hours of work, with the numbers told at the end.

python -m tests.pipeline.corpus.proofs same             # 20 clips by hamba run, a local Ray, three nodes with kills
python -m tests.pipeline.corpus.proofs many --clips 2000   # 5 % broken, the driver killed twice
python -m tests.pipeline.corpus.proofs nodes --minutes 5   # a node killed at random every minute
python -m tests.pipeline.corpus.proofs scaling          # one worker and two
"""

import argparse
import importlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from pipeline.corpus import CorpusSettings, Entry, Storage, Totals, Video, run_corpus
from pipeline.corpus.storage import table_name
from pipeline.settings import Settings, load_settings
from stages.assets import CLIP

_CODECS: Final = {
    ".mp4": ["-c:v", "libx264", "-preset", "ultrafast"],
    ".mkv": ["-c:v", "libx265", "-x265-params", "log-level=none", "-preset", "ultrafast"],
    ".webm": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8"],
    ".avi": ["-c:v", "mpeg4", "-q:v", "3"],
    ".mov": ["-c:v", "mjpeg", "-q:v", "3"],
}
_HAMBA: Final = [sys.executable, "-m", "pipeline.commands.cli"]
_NUMBERS: Final = ("joints", "hand_pose", "global_orient", "betas", "translation", "joints_2d")


def tell(words: str) -> None:
    """Say how far it is."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


def main() -> None:
    """Do one of the proofs. It ends with an error where what is claimed is not so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("proof", choices=["same", "many", "nodes", "scaling", "cut"])
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seconds", type=int, default=200)
    parser.add_argument("--warm-up", type=float, default=90.0)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with TemporaryDirectory(prefix="hamba-proof-") as name:
        work = Path(name)
        if given.proof == "same":
            same(work, given.clips, given.frames)
        elif given.proof == "many":
            many(work, given.clips, given.frames)
        elif given.proof == "nodes":
            nodes(work, given.minutes)
        elif given.proof == "cut":
            cut(work, given.seconds, given.warm_up)
        else:
            scaling(work, given.clips, given.frames)


def make_clips(folder: Path, count: int, frames: int, seed: int = 0) -> list[Path]:
    """Cut so many clips out of the shipped one, at random places, each in the next codec."""
    folder.mkdir()
    chance, paths = random.Random(seed), []
    for number in range(count):
        suffix, codec = list(_CODECS.items())[number % len(_CODECS)]
        path = folder / f"clip-{number:05}{suffix}"
        start = chance.uniform(0, 9.9 - frames / 30)
        cut = ["-ss", f"{start:.3f}", "-i", str(CLIP), "-frames:v", str(frames), "-an", *codec, str(path)]
        subprocess.run(["ffmpeg", "-v", "error", "-threads", "1", *cut], check=True)
        paths.append(path)
    return paths


def tables_of(place: Path) -> dict[str, Any]:
    """The tables of a corpus by the names of their videos."""
    entries = Storage(str(place)).entries()
    return {Path(entry.video).name: pq.read_table(place / table_name(entry.id)) for entry in entries if entry.rows}


def check_same(found: dict[str, Any], expected: dict[str, Any], what: str, most: float = 1e-6) -> None:
    """Raise AssertionError where numbers differ by more than `most`, those above 1 by more than this share of them."""
    if found.keys() != expected.keys():
        raise AssertionError(f"{what}: {sorted(found.keys() ^ expected.keys())} are on one side only")
    worst = 0.0
    for name, table in found.items():
        for column in ("frame", "pts", "track", "side"):
            if table[column].to_pylist() != expected[name][column].to_pylist():
                raise AssertionError(f"{what}: {name}: {column} differs")
        for column in _NUMBERS:
            one, other = (np.array(each[column].to_pylist()) for each in (table, expected[name]))
            worst = max(worst, float((np.abs(one - other) / (1 + np.abs(other))).max()))
    if worst > most:
        raise AssertionError(f"{what}: hands differ by {worst:.1e}")
    rows = sum(table.num_rows for table in found.values())
    tell(f"{what}: {len(found)} videos with hands, {rows} hands, the same within {worst:.1e}")


def same(work: Path, clips: int, frames: int) -> None:
    """The same clips three ways."""
    paths = make_clips(work / "clips", clips, frames)
    start = time.monotonic()
    run = [*_HAMBA, "run", *map(str, paths), "--jobs", "2", "--no-overlay", "--out", str(work / "run")]
    subprocess.run(
        [*run, "--set", "record.vertices=none", "--export", "parquet", "--json"], check=True, stdout=subprocess.DEVNULL
    )
    expected = {}
    for folder in (work / "run").iterdir():
        if (folder / "hands.parquet").exists():
            table = pq.read_table(folder / "hands.parquet")
            expected[Path(table["video"][0].as_py()).name] = table
    tell(f"hamba run --jobs 2: {time.monotonic() - start:.0f} s, {len(expected)} videos with hands")
    start = time.monotonic()
    corpus = [*_HAMBA, "corpus", str(work / "clips"), "--out", str(work / "local"), "--workers", "2", "--json"]
    subprocess.run(corpus, check=True, stdout=subprocess.DEVNULL)
    check_same(tables_of(work / "local"), expected, f"hamba corpus, a local Ray, {time.monotonic() - start:.0f} s")
    start = time.monotonic()
    totals, killed = on_cluster(work / "clips", work / "cluster", load_settings("offline"), kills=2)
    if (totals.done, totals.failed) != (clips, 0):
        raise AssertionError(f"expected {clips} done, found {totals}")
    what = f"three nodes, {killed} killed, {totals.deaths} workers died, {time.monotonic() - start:.0f} s"
    check_same(tables_of(work / "cluster"), expected, what)


def on_cluster(videos: Path, place: Path, settings: Settings, kills: int) -> tuple[Totals, int]:
    """Run a corpus on a head and two nodes; one of these is killed `kills` times, and another takes its place."""
    ray: Any = importlib.import_module("ray")
    cluster_utils: Any = importlib.import_module("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    others = [cluster.add_node(num_cpus=1) for _ in range(2)]
    killed = 0

    def kill_one(totals: Totals) -> None:
        nonlocal killed
        if killed < kills and totals.done >= totals.expected * (killed + 1) // (kills + 2):
            cluster.remove_node(others.pop(0), allow_graceful=False)
            others.append(cluster.add_node(num_cpus=1))
            killed += 1

    try:
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        how = CorpusSettings(workers=3, attempts=5)
        totals = run_corpus([str(videos)], str(place), settings, how, on_totals=kill_one)
    finally:
        ray.shutdown()
        cluster.shutdown()
    return totals, killed


def cut(work: Path, seconds: int, warm_up: float) -> None:
    """One hand of a long video without a cut in the picture, as a whole and in two segments."""
    turn, videos = work / "turn.mp4", work / "videos"
    videos.mkdir()
    there_and_back = "[0:v]split=2[a][b];[b]reverse[r];[a][r]concat=n=2:v=1[v]"
    made = ["ffmpeg", "-v", "error", "-i", str(CLIP), "-filter_complex", there_and_back, "-map", "[v]", str(turn)]
    subprocess.run(made, check=True)
    (work / "list.txt").write_text(f"file {turn}\n" * (seconds // 20))
    joined = ["-f", "concat", "-safe", "0", "-i", str(work / "list.txt"), "-c", "copy", str(videos / "long.mp4")]
    subprocess.run(["ffmpeg", "-v", "error", *joined], check=True)
    settings, tables = load_settings("offline", ["detect.max_hands=1"]), []
    for segment in (0.0, seconds / 2):
        start, place = time.monotonic(), work / f"out-{segment:g}"
        how = CorpusSettings(segment=segment, warm_up=warm_up, workers=2)
        totals = run_corpus([str(videos)], str(place), settings, how)
        tell(f"{totals.segments} segments: {totals.frames} frames, {time.monotonic() - start:.0f} s")
        tables.append(tables_of(place))
    check_same(tables[1], tables[0], f"cut once, {warm_up:g} s of warm-up", 1e-6 if warm_up >= 90 else 1e-3)


def many(work: Path, clips: int, frames: int) -> None:
    """Very short clips, copied under many names and shuffled; one in twenty is broken; the driver is killed twice."""
    made = make_clips(work / "made", min(clips, 100), frames)
    videos, chance = work / "videos", random.Random(1)
    videos.mkdir()
    broken = set(chance.sample(range(clips), clips // 20))
    for number in range(clips):
        data = chance.choice(made)
        content = data.read_bytes()
        (videos / f"{number:06}{data.suffix}").write_bytes(
            content[: len(content) // 3] if number in broken else content
        )
    place, start = work / "out", time.monotonic()
    corpus = [*_HAMBA, "corpus", str(videos), "--out", str(place), "--workers", "2", "--at-once", "4", "--resume"]
    for least in (clips // 4, clips // 2):
        driver = subprocess.Popen([*corpus, "--json"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not place.exists() or len(Storage(str(place)).finished()) < least:
            if driver.poll() is not None:
                raise AssertionError(f"the driver ended by itself, with {driver.returncode}")
            time.sleep(1)
        driver.send_signal(signal.SIGKILL)
        driver.wait()
        done = len(Storage(str(place)).finished())
        tell(f"killed the driver after {time.monotonic() - start:.0f} s, {done} entries")
    subprocess.run([*corpus, "--json"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    entries = list(Storage(str(place)).entries())
    states = {state: sum(entry.state == state for entry in entries) for state in ("done", "failed")}
    tables = sum(1 for _ in Storage(str(place)).names("hands", ".parquet"))
    tell(f"{clips} videos, {len(broken)} broken: {states}, {tables} tables, {time.monotonic() - start:.0f} s")
    failed = {int(Path(entry.video).stem) for entry in entries if entry.state == "failed"}
    if len(entries) != clips or failed != broken or tables != sum(entry.rows > 0 for entry in entries):
        raise AssertionError(f"expected {clips} entries and {sorted(broken)} failed, found {len(entries)} and {failed}")


class Sleeper:
    """In the place of a worker: each video takes a second, and is written down when it begins."""

    def __init__(self, place: str, settings: Settings, about: Any, corpus: CorpusSettings) -> None:
        self._storage = Storage(place)
        self._log = Path(place).parent / "log"

    def do(self, video: Video, attempt: int) -> Entry:
        """Sleep, and write the entry."""
        with self._log.open("a") as log:
            log.write(f"{video.path}\n")
        time.sleep(1.0)
        entry = Entry(id=video.id, video=video.name, state="done", attempts=attempt)
        self._storage.finish(entry)
        return entry


def nodes(work: Path, minutes: float) -> None:
    """A random node of three is killed every minute, and replaced."""
    ray: Any = importlib.import_module("ray")
    cluster_utils: Any = importlib.import_module("ray.cluster_utils")
    count, chance = round(minutes * 60 * 2), random.Random(2)
    manifest = work / "list.csv"
    manifest.write_text("path\n" + "\n".join(f"/{number}.mp4" for number in range(count)))
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    others = [cluster.add_node(num_cpus=1) for _ in range(3)]
    start, killed = time.monotonic(), 0

    def kill_one(totals: Totals) -> None:
        nonlocal killed
        if time.monotonic() - start > 60 * (killed + 1):
            cluster.remove_node(others.pop(chance.randrange(3)), allow_graceful=False)
            others.append(cluster.add_node(num_cpus=1))
            killed += 1

    try:
        ray.init(cluster.address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
        how = CorpusSettings(workers=3, attempts=5)
        totals = run_corpus([str(manifest)], str(work / "out"), Settings(), how, on_totals=kill_one, worker=Sleeper)
    finally:
        ray.shutdown()
        cluster.shutdown()
    begun = len((work / "log").read_text().splitlines())
    tell(
        f"{count} videos of a second, {time.monotonic() - start:.0f} s, {killed} nodes killed: {totals.done} done, "
        f"{totals.failed} failed, {totals.deaths} workers died, {begun - count} begun again"
    )
    if (totals.done, totals.failed) != (count, 0) or begun - count > totals.deaths:
        raise AssertionError(str(totals))


def scaling(work: Path, clips: int, frames: int) -> None:
    """Frames a second of one worker and of two, in turns, workers and network being there already."""
    make_clips(work / "clips", clips, frames)
    for turn in range(2):
        for workers in (1, 2):
            marks: list[tuple[float, int]] = []

            def on_totals(totals: Totals, marks: list[tuple[float, int]] = marks) -> None:
                if totals.frames and (not marks or totals.frames > marks[-1][1]):
                    marks.append((time.monotonic(), totals.frames))

            place = str(work / f"out-{turn}-{workers}")
            how = CorpusSettings(workers=workers)
            run_corpus([str(work / "clips")], place, load_settings("offline"), how, on_totals=on_totals)
            (begin, first), (end, last) = marks[0], marks[-1]
            tell(f"{workers} workers: {(last - first) / (end - begin):.1f} frames/s")


if __name__ == "__main__":
    main()
