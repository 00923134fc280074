"""Recordings that another program has written anew or put together: as MCAP allows it, and takes kept apart."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from hamba_core.errors import SourceError
from stages.export import ExportSettings, export
from stages.packets import ClockAnchor, FrameResult, RunInfo
from stages.recording import Recorder, read_overview, read_recording

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]


def record(path: Path, run: RunInfo, results: Sequence[FrameResult]) -> Path:
    recorder = Recorder(path)
    recorder.open(run)
    for result in results:
        recorder.write(result)
    recorder.close()
    return path


def rewritten(to: Path, *paths: Path, crc: bool = True, chunks: bool = True, compression: str = "ZSTD") -> Path:
    """What is in these files, in order of time, as MCAP's own writer writes it."""
    messages, attachments = [], []
    for number, path in enumerate(paths):
        with path.open("rb") as file:
            reader = make_reader(file)
            messages += [(message.log_time, number, schema, channel, message)
                         for schema, channel, message in reader.iter_messages()]  # fmt: skip
            attachments += list(reader.iter_attachments())
    with to.open("wb") as file:
        writer = Writer(file, use_chunking=chunks, compression=CompressionType[compression])
        writer.start(library="another program")
        known: dict[tuple[int, str], int] = {}
        for attachment in attachments:
            writer.add_attachment(
                attachment.create_time, attachment.log_time, attachment.name, attachment.media_type, attachment.data
            )
        for _, number, schema, channel, message in sorted(messages, key=lambda entry: entry[:2]):
            assert schema
            if (number, channel.topic) not in known:
                schema_id = writer.register_schema(schema.name, schema.encoding, schema.data)
                known[number, channel.topic] = writer.register_channel(
                    channel.topic, channel.message_encoding, schema_id
                )
            writer.add_message(
                known[number, channel.topic], message.log_time, message.data, message.publish_time, message.sequence
            )
        writer.finish()  # type: ignore[no-untyped-call]
    if not crc:
        data = bytearray(to.read_bytes())
        for attachment in attachments:
            end = data.index(attachment.data) + len(attachment.data)
            data[end : end + 4] = bytes(4)
        to.write_bytes(data)
    return to


@pytest.fixture
def takes(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> list[Path]:
    """Two takes of one name, the second begun two seconds after the first, of other lengths."""
    run = make_run()
    later = replace(run, clock=ClockAnchor(0, run.clock.unix_ns + 2_000_000_000))
    return [
        record(tmp_path / "a.mcap", run, [make_result(i) for i in range(10)]),
        record(tmp_path / "b.mcap", later, [make_result(i, hands=1) for i in range(6)]),
    ]


@pytest.mark.parametrize(
    ("crc", "chunks", "compression"),
    [(False, True, "ZSTD"), (True, False, "NONE"), (True, True, "NONE"), (True, True, "LZ4")],
)
def test_a_recording_is_read_in_every_way_that_mcap_has(
    takes: list[Path], tmp_path: Path, crc: bool, chunks: bool, compression: str
) -> None:
    other = rewritten(tmp_path / "other.mcap", takes[0], crc=crc, chunks=chunks, compression=compression)
    assert [len(result.hands) for result in read_recording(other).results()] == [2] * 10
    overview = read_overview(other)
    assert (overview.frames, overview.lost, overview.skipped) == (10, 0, 0)


def test_takes_in_one_file_are_told_apart(takes: list[Path], tmp_path: Path) -> None:
    merged = rewritten(tmp_path / "merged.mcap", *takes)
    with pytest.raises(SourceError, match=r"merged\.mcap: expected one take, found 2 .*choose one with --take"):
        read_recording(merged)
    for take, alone in enumerate(takes, 1):
        assert read_recording(merged, take).run == read_recording(alone).run
        overview = read_overview(merged, take=take)
        assert (overview.frames, overview.lost, overview.skipped) == ((10, 6)[take - 1], 0, 0)
        outs = [tmp_path / f"{name}-{take}" for name in ("merged", "alone")]
        export(merged, outs[0], ExportSettings(formats=("csv",), take=take))
        export(alone, outs[1], ExportSettings(formats=("csv",)))
        assert (outs[0] / "merged.csv").read_bytes() == (outs[1] / f"{alone.stem}.csv").read_bytes()
    with pytest.raises(SourceError, match="expected a take from 1 to 2, found 3"):
        read_recording(merged, 3)


def test_two_cameras_in_one_file_are_two_takes(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    cameras = [
        record(tmp_path / f"{stream}.mcap", make_run(stream), [make_result(i, hands, stream=stream) for i in range(4)])
        for stream, hands in (("left", 1), ("right", 2))
    ]
    merged = rewritten(tmp_path / "merged.mcap", *cameras)
    for take, (stream, hands) in enumerate((("left", 1), ("right", 2)), 1):
        recording = read_recording(merged, take)
        assert recording.run.stream == stream
        assert [len(result.hands) for result in recording.results()] == [hands] * 4


def test_one_take_twice_in_a_file_is_refused(takes: list[Path], tmp_path: Path) -> None:
    merged = rewritten(tmp_path / "merged.mcap", takes[0], takes[0])
    for take in (None, 1, 2):
        with pytest.raises(SourceError, match=r"merged\.mcap: .* found the same one twice, of clip\.mp4"):
            read_recording(merged, take)


def test_messages_of_a_take_that_the_file_does_not_describe_are_left_out(
    takes: list[Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    merged = rewritten(tmp_path / "merged.mcap", *takes)
    data = merged.read_bytes()
    first = data.index(b"run.json")
    merged.write_bytes(data[:first] + b"gone" + data[first + 4 :])
    assert [len(result.hands) for result in read_recording(merged).results()] == [1] * 6
    assert "10 messages belong to another take and are left out" in caplog.text


def test_files_put_together_by_cat_are_told(
    make_run: MakeRun, make_result: MakeResult, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = record(tmp_path / "one.mcap", make_run(), [make_result(index) for index in range(3)])
    both = tmp_path / "both.mcap"
    both.write_bytes(2 * one.read_bytes())
    assert len(list(read_recording(one).results())) == 3
    assert not caplog.text
    assert len(list(read_recording(both).results())) == 3
    assert caplog.text.count("another MCAP file begins where this one ends, and is not read") == 1
