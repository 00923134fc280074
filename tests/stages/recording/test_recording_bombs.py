"""Recordings that unpack to gigabytes, hold numbers that nothing can hold, or come from a clock that nobody set."""

import io
import logging
import re
import struct
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from mcap.data_stream import RecordBuilder
from mcap.records import Chunk

from hamba_core.errors import SourceError
from stages import wire
from stages.packets import ClockAnchor, FrameResult, RunInfo
from stages.recording import Recorder, read_recording
from stages.recording.format import RecordedRun, run_json, run_of_json
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


def recording_of_one_frame(folder: Path, run: RunInfo, result: FrameResult) -> bytes:
    """The bytes of a recording, as they should be."""
    recorder = Recorder(folder / "hands.mcap")
    recorder.open(run)
    recorder.write(result)
    recorder.close()
    return (folder / "hands.mcap").read_bytes()


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
    whole = recording_of_one_frame(tmp_path, make_run(), make_result(0))
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


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_record_of_any_length_ends_the_file_there(
    tmp_path: Path, make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult], length: int
) -> None:
    whole = recording_of_one_frame(tmp_path, make_run(), make_result(0))
    at, places = len(MAGIC), []
    while at < len(whole) - len(MAGIC):
        places.append(at)
        at += 9 + int.from_bytes(whole[at + 1 : at + 9], "little")
    behind = [place for place in places if place >= whole.index(b"\x0f" + struct.pack("<Q", 4))]  # of the data's end
    for place in behind:
        path = tmp_path / "damaged.mcap"
        path.write_bytes(whole[: place + 1] + struct.pack("<Q", length) + whole[place + 9 :])
        recording = read_recording(path)
        assert len(list(recording.results())) == 1
        assert recording.span() is not None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (rb'"width": \d+', b'"width": 10000000000000000000'),
        (rb'"height": \d+', b'"height": 0'),
        (rb'"unix_ns": -?\d+', b'"unix_ns": 9223372036854775807'),
        (rb'"monotonic_ns": \d+', b'"monotonic_ns": -1'),
        (rb'"fps": [\d.]+', b'"fps": 1e308'),
        (rb'"settings": \{', b'"settings": {"a": ' + b"[" * 100 + b"]" * 100 + b', "b": 1, '),
        (rb'"settings": \{', b'"settings": {"a": ' + b"[" * 5000 + b"]" * 5000 + b', "b": 1, '),
    ],
)
def test_a_run_whose_description_is_hostile_is_refused_with_words(
    make_run: Callable[..., RunInfo], old: bytes, new: bytes
) -> None:
    run = make_run()
    run = replace(run, settings={"c": 1}, source=replace(run.source, fps=30.0))
    content = run_json(RecordedRun.of(run))
    assert run_of_json(content).stream == run.stream
    hostile, count = re.subn(old, new, content)
    assert count >= 1
    with pytest.raises(ValueError, match=r"range|nested|expected|Expected"):
        run_of_json(hostile)


def test_a_wall_clock_before_1970_is_recorded_published_and_read_back(
    tmp_path: Path, make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult]
) -> None:
    run = make_run()
    early = ClockAnchor(run.clock.monotonic_ns, -3_600_000_000_000)
    for live in (True, False):
        path = tmp_path / f"{live}.mcap"
        recorder = Recorder(path)
        recorder.open(replace(run, clock=early, source=replace(run.source, live=live)))
        for index in range(3):
            recorder.write(make_result(index))
        recorder.close()
        recording = read_recording(path)
        assert [result.frame.index for result in recording.results()] == [0, 1, 2]
        assert recording.run.clock == early
    message = wire.HandsMessage(0, make_result(0), 1, early)
    assert wire.decode(wire.encode(message)).clock == early
