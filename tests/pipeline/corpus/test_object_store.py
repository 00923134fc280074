"""Videos from a local S3 server and results into it; skipped where moto's server is not installed."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hamba_core.errors import OutputError
from pipeline.corpus import CorpusSettings, Cut, Entry, Storage, Video, segments_folder, videos_in
from pipeline.corpus.storage import About, table_name
from pipeline.corpus.working import Worker
from pipeline.settings import load_settings

# Delayed: a small file goes in one piece. moto refuses the checksums that PyArrow gives to pieces.
QUERY = "?allow_delayed_open=true&scheme=http&region=us-east-1&endpoint_override=127.0.0.1%3A"


@pytest.fixture(scope="module")
def server() -> Iterator[int]:
    program = shutil.which("moto_server")
    if program is None:
        pytest.skip("moto_server is not installed (pip install 'moto[server]', in an environment of its own)")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    process = subprocess.Popen([program, "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield port
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def place(server: int, monkeypatch: pytest.MonkeyPatch) -> str:
    from pyarrow.fs import S3FileSystem

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    system = S3FileSystem(
        access_key="test", secret_key="test", scheme="http", endpoint_override=f"127.0.0.1:{server}",
        allow_bucket_creation=True, region="us-east-1",
    )  # fmt: skip
    system.create_dir("corpus")
    return f"s3://corpus/results{QUERY}{server}"


def test_results_are_kept_and_listed_in_a_store(place: str, tmp_path: Path) -> None:
    storage = Storage(place)
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    storage.put("hands/part=3f/3f1a.parquet", tmp_path / "a")
    assert storage.read("hands/part=3f/3f1a.parquet") == b"x" * 100_000
    storage.finish(Entry(id="3f1a", video="a.mp4", state="done", rows=3))
    assert storage.finished() == {"3f1a"}
    assert storage.write_index() == 1
    storage.remove("hands/part=3f/3f1a.parquet")
    assert list(storage.names("hands", ".parquet")) == []


def test_videos_of_a_folder_in_a_store_can_be_opened_by_their_names(place: str, tmp_path: Path) -> None:
    storage = Storage(place.replace("results", "videos"))
    for name in ("a.mp4", "deep/b.mov", "notes.txt"):
        storage.write(name, name.encode())
    head, _, query = place.partition("?")
    videos = list(videos_in([f"{head.replace('results', 'videos')}/?{query}"]))
    assert [video.path.partition("?")[0] for video in videos] == [
        "s3://corpus/videos/a.mp4",
        "s3://corpus/videos/deep/b.mov",
    ]
    for video, content in zip(videos, (b"a.mp4", b"deep/b.mov"), strict=True):
        from pyarrow.fs import FileSystem

        system, path = FileSystem.from_uri(video.path)
        assert system.open_input_stream(path).read() == content


def table_of(storage: Storage, video: Video) -> pa.Table:
    return pq.read_table(pa.BufferReader(storage.read(table_name(video.id))))


def test_a_video_in_segments_meets_in_a_store(
    place: str, beginning: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    head, _, query = place.partition("?")
    Storage(place.replace("results", "two")).write("clip.mp4", beginning(tmp_path / "clip.mp4", 12).read_bytes())
    video = Video(f"{head.replace('results', 'two')}/clip.mp4?{query}")
    storage = Storage(place.replace("results", "joined"))
    corpus = CorpusSettings(segment=0.2, warm_up=0.1)
    worker = Worker(place.replace("results", "joined"), load_settings("offline"), About("", ""), corpus)
    cut = worker.do(video, 1)
    assert isinstance(cut, Cut)
    assert [segment.name for segment in cut.left] == ["1-of-2", "2-of-2"]
    worker.do_segment(video, cut.left[0], 1)
    again = worker.do(video, 1)  # as where the driver was killed
    assert isinstance(again, Cut)
    assert again.left == cut.left[1:]
    worker.do_segment(video, again.left[0], 1)
    entry = worker.join(video, 2, 1)
    assert (entry.state, entry.frames, entry.segments, entry.tracks) == ("done", 12, 2, 2)
    assert table_of(storage, video)["frame"].to_pylist() == [*range(12), *range(12)]
    assert storage.finished() == {video.id}
    assert not list(storage.names(segments_folder(video.id), ""))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_killed_driver_goes_on_with_the_segments_in_a_store(
    place: str, beginning: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    videos, query = place.partition("?")[0].replace("results", "long"), place.partition("?")[2]
    Storage(place.replace("results", "long")).write("clip.mp4", beginning(tmp_path / "clip.mp4", 150).read_bytes())
    video = Video(f"{videos}/clip.mp4?{query}")
    out = place.replace("results", "resumed")
    storage, count = Storage(out), 5
    command = [sys.executable, "-m", "pipeline.commands.cli", "corpus", video.path, "--out", out, "--json"]
    command += ["--workers", "1", "--segment", "1", "--warm-up", "0.5", "--resume"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def finished() -> int:
        return sum(1 for _ in storage.names(segments_folder(video.id), ".json"))

    driver = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 200
    while not 1 <= finished() < count:
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    driver.kill()
    driver.wait()
    before = finished()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["done"], told["failed"], told["frames"]) == (1, 0, 150)
    assert 1 <= told["segments"] <= count - before
    frames = table_of(storage, video)["frame"].to_pylist()
    assert sorted(set(frames)) == list(range(150))
    assert told["hands"] == len(frames) == 300
    assert list(storage.names("segments", "")) == []
    page = storage.read("report.html").decode()
    assert page.count("<figcaption>clip.mp4, frame ") == 1  # fetched for it


def test_an_address_with_a_key_is_not_told(server: int) -> None:
    with pytest.raises(OutputError) as told:
        Storage(f"s3://me:SeKret@nowhere/results{QUERY}{server}").write("a", b"a")
    assert "SeKret" not in str(told.value)
