"""Videos from a local S3 server and results into it; skipped where moto's server is not installed."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hamba_core.errors import OutputError
from pipeline.corpus import Entry, Storage, videos_in

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
    storage.put("hands/part=3f/3f1.parquet", tmp_path / "a")
    assert storage.read("hands/part=3f/3f1.parquet") == b"x" * 100_000
    storage.finish(Entry(id="3f1", video="a.mp4", state="done", rows=3))
    assert storage.finished() == {"3f1"}
    assert storage.write_index() == 1
    storage.remove("hands/part=3f/3f1.parquet")
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


def test_an_address_with_a_key_is_not_told(server: int) -> None:
    with pytest.raises(OutputError) as told:
        Storage(f"s3://me:SeKret@nowhere/results{QUERY}{server}").write("a", b"a")
    assert "SeKret" not in str(told.value)
