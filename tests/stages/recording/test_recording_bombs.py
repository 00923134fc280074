"""A recording that unpacks to gigabytes is told as damaged, and takes no memory."""

import io
import logging
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.records import Chunk

from hamba_core.errors import SourceError
from stages.packets import FrameResult, RunInfo
from stages.recording import Recorder, read_recording
from stages.recording.mcap_file import MAGIC

SIZE = 1 << 30


def packed(compression: str) -> bytes:
    """Zeros, a gigabyte of them."""
    file = io.BytesIO()
    if compression == "zstd":
        with zstandard.ZstdCompressor().stream_writer(file, size=SIZE, closefd=False) as writer:
            for _ in range(SIZE >> 20):
                writer.write(bytes(1 << 20))
        return file.getvalue()
    with lz4.frame.open(file, "wb") as stream:
        for _ in range(SIZE >> 20):
            stream.write(bytes(1 << 20))
    return file.getvalue()


def bomb(compression: str, claimed: int) -> bytes:
    """A chunk as a record."""
    record = RecordBuilder()
    Chunk(compression, packed(compression), 0, 0, 0, claimed).write(record)
    return bytes(record.end())  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("claimed", [SIZE, 100])
def test_a_chunk_that_unpacks_without_end_is_left_out_and_the_rest_is_read(
    tmp_path: Path,
    make_run: Callable[..., RunInfo],
    make_result: Callable[..., FrameResult],
    caplog: pytest.LogCaptureFixture,
    compression: str,
    claimed: int,
) -> None:
    recorder = Recorder(tmp_path / "hands.mcap")
    recorder.open(make_run())
    recorder.write(make_result(0))
    recorder.close()
    whole = (tmp_path / "hands.mcap").read_bytes()
    header = len(MAGIC) + 9 + int.from_bytes(whole[len(MAGIC) + 1 : len(MAGIC) + 9], "little")
    content = bomb(compression, claimed)
    assert len(content) < 5 << 20
    tracemalloc.start()
    (tmp_path / "bomb.mcap").write_bytes(whole[:header] + content + whole[header:])
    with caplog.at_level(logging.WARNING):
        assert len(list(read_recording(tmp_path / "bomb.mcap").results())) == 1
        assert read_recording(tmp_path / "bomb.mcap").last_status() is None
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "damaged" in caplog.text
    assert peak < 200 << 20, peak
    (tmp_path / "alone.mcap").write_bytes(MAGIC + content)
    with pytest.raises(SourceError):
        read_recording(tmp_path / "alone.mcap")
