"""Recordings: readable by everybody, complete at any moment, never over an existing file."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from mcap.reader import make_reader
from mcap.records import Chunk

from hamba_core.errors import OutputError, PipelineError, WireError
from hamba_core.view import Intrinsics
from stages import wire
from stages.recording import Recorder, RecordingSettings, mcap_file, reader
from stages.recording.format import REPORT, RUN
from stages.recording.mcap_file import McapFile
from stages.recording.reader import read_recording
from stages.wire import HandsMessage
from tests.stages.recording.recordings import START, MakeResult, MakeRun, assert_same, read_by_mcap, record, status


def test_what_was_recorded_is_read_back(recorded: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    recording, run = read_recording(recorded), make_run()
    for i, result in enumerate(recording.results()):
        assert_same(result, make_result(i, hands=i % 3))
    assert i == 9
    assert recording.run.source == run.source
    assert (recording.run.clock, recording.run.versions, recording.run.settings) == (
        run.clock, run.versions, run.settings
    )  # fmt: skip
    np.testing.assert_array_equal(recording.topology.faces_left, run.topology.faces_left)
    last = recording.last_status()
    assert last
    assert (last.state, last.choices[0].reason) == ("ended", "no CUDA device was found")
    assert len(list(read_recording(str(recorded)).results())) == 10, "its name as a text"


def test_mcaps_own_reader_finds_everything_by_the_index(recorded: Path) -> None:
    with recorded.open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary
        assert summary.statistics
        counts = {
            summary.channels[number].topic: count for number, count in summary.statistics.channel_message_counts.items()
        }
        attachments = {attachment.name: json.loads(attachment.data) for attachment in reader.iter_attachments()}
        metadata = {record.name: record.metadata for record in reader.iter_metadata()}
    assert counts == {
        "hands/hands": 10, "model/hands": 1, "status/hands": 1, "scene/hands": 10, "camera/hands": 1,
        "transform/hands": 1,
    }  # fmt: skip
    assert attachments[RUN]["source"]["name"] == "clip.mp4"
    assert attachments[REPORT]["state"] == "ended"
    assert attachments[REPORT]["latency"]["p50"] is None
    assert metadata["hamba"]["camera"].endswith("(estimated)")
    assert metadata["hamba"]["version hamba-stream"] == "0.1.0"


def test_a_run_told_in_numpys_numbers_is_read_back(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    run, half = make_run(), np.float64(0.5)
    camera = Intrinsics(np.float64(600), np.float32(601), np.int64(320), half, np.bool_(True))  # type: ignore[arg-type]
    numbers: dict[str, Any] = {"width": np.int64(640), "fps": np.float32(30)}
    source = replace(run.source, camera=camera, **numbers)
    path = record(tmp_path / "a.mcap", replace(run, source=source, settings={"a": {"b": half, "c": tmp_path}}), [])
    read = read_recording(path).run
    assert read.source == source
    assert read.settings == {"a": {"b": 0.5, "c": str(tmp_path)}}


def test_what_could_not_be_read_back_is_not_recorded(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    run = make_run()
    recorder = Recorder(tmp_path / "a.mcap")
    with pytest.raises(PipelineError, match=r"can be read back from run\.json, found: Expected `int"):
        recorder.open(replace(run, source=replace(run.source, frames="many")))  # type: ignore[arg-type]
    recorder.close()
    recorder = Recorder(tmp_path / "b.mcap")
    recorder.open(run)
    recorder.write(make_result())
    result = make_result(hands=1)
    object.__setattr__(result.hands[0], "side", "middle")
    with pytest.raises(WireError, match=r"hands/hands.*'middle'"):
        recorder.write(result)
    recorder.close()
    assert len(list(read_recording(tmp_path / "b.mcap").results())) == 1


def test_our_messages_are_the_wires_maps_with_a_schema(recorded: Path) -> None:
    for index, (schema, channel, message) in enumerate(read_by_mcap(recorded, "hands/hands")):
        assert (channel.message_encoding, schema.name, schema.encoding) == ("msgpack", "hamba.Hands", "jsonschema")
        assert "hands" in json.loads(schema.data)["$defs"]["Hands"]["required"]
        decoded = wire.decode_map(channel.topic, message.data)
        assert isinstance(decoded, wire.HandsMessage)
        assert (decoded.seq, message.sequence) == (index, index)


def test_a_recording_plays_at_the_pace_of_its_source(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    results = [make_result(i, pts=i * 0.04, captured_ns=1_000_000 * i) for i in range(3)]
    of_file = read_by_mcap(record(tmp_path / "file.mcap", make_run(live=False), results), "hands/hands")
    assert [message.log_time - START for _, _, message in of_file] == [0, 40_000_000, 80_000_000]
    of_camera = read_by_mcap(record(tmp_path / "camera.mcap", make_run(live=True), results), "hands/hands")
    assert [message.log_time - START for _, _, message in of_camera] == [0, 1_000_000, 2_000_000]


@pytest.mark.parametrize(
    ("options", "vertices", "triangles", "lines"),
    [
        (RecordingSettings(vertices="none"), 0, 1, 1),
        (RecordingSettings(vertices="float16", scene="skeletons"), None, 0, 1),
    ],
)
def test_settings_say_what_is_recorded(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, options: RecordingSettings,
    vertices: int | None, triangles: int, lines: int,
) -> None:  # fmt: skip
    path = record(tmp_path / "a.mcap", make_run(), [make_result(hands=1)], options)
    hand = next(read_recording(path).results()).hands[0]
    assert len(hand.vertices) == (make_run().topology.vertices if vertices is None else vertices)
    entity = SceneUpdate.FromString(read_by_mcap(path, "scene/hands")[0][2].data).entities[0]
    assert (len(entity.triangles), len(entity.lines)) == (triangles, lines)


def test_a_change_of_camera_is_recorded(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    results = [make_result(0), make_result(1), make_result(2, size=(320, 240))]
    path = record(tmp_path / "a.mcap", make_run(), results)
    widths = [CameraCalibration.FromString(m.data).width for _, _, m in read_by_mcap(path, "camera/hands")]
    assert widths == [640, 320]


def test_an_existing_file_is_never_overwritten(tmp_path: Path, make_run: MakeRun) -> None:
    (tmp_path / "a.mcap").write_text("precious")
    recorder = Recorder(tmp_path / "a.mcap")
    with pytest.raises(OutputError, match=r"a\.mcap: expected no such file yet"):
        recorder.open(make_run())
    recorder.close()
    assert (tmp_path / "a.mcap").read_text() == "precious"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, make_run: MakeRun) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file/a\.mcap.*Not a directory"):
        Recorder(tmp_path / "file" / "a.mcap").open(make_run())


def test_the_file_is_complete_each_half_second_without_being_closed(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(McapFile.__init__, "__defaults__", (lambda: now,))
    recorder = Recorder(tmp_path / "a.mcap")
    recorder.open(make_run())
    for i in range(60):
        recorder.write(make_result(i))
        readable = len(read_by_mcap(tmp_path / "a.mcap", "hands/hands"))
        assert i + 1 - readable <= 16, "half a second at 30 frames a second, and the frame that ends it"
        now += 1 / 30
    recorder.status(status())
    assert len(read_by_mcap(tmp_path / "a.mcap", "hands/hands")) == 60, "a status writes out everything"
    recorder.close()


def test_the_summary_of_a_long_recording_does_not_grow_into_the_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcap_file, "CHUNK_BYTES", 0)  # every message is a chunk of its own
    file = McapFile(tmp_path / "a.mcap", "test")
    channel = file.add_channel("a", "json", "a", "jsonschema", b"{}")
    written = 0
    write_at = file._write_at

    def counting(offset: int, data: bytes) -> None:
        nonlocal written
        written += len(data)
        write_at(offset, data)

    monkeypatch.setattr(file, "_write_at", counting)
    for i in range(2_000):
        file.add_message(channel, i, i, b"x" * 20)
    file.close()
    assert len(read_by_mcap(tmp_path / "a.mcap")) == 2_000
    assert written < 10 * (tmp_path / "a.mcap").stat().st_size


def test_what_lies_before_a_place_is_hardly_read(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mcap_file, "FLUSH_SECONDS", 0.0)  # a chunk a message
    recorder = Recorder(tmp_path / "hands.mcap")
    recorder.open(make_run(live=True))
    for index in range(100):
        recorder.write(make_result(index, 1, pts=0.1 * index, captured_ns=1_000_000_000 + index * 100_000_000))
    recorder.close()
    recording, unpacked = read_recording(tmp_path / "hands.mcap"), list[Chunk]()
    begin, end = recording.span() or (0, 0)
    assert end - begin == pytest.approx(9.9e9, rel=1e-6)
    unpack = reader._unpacked

    def count(chunk: Chunk) -> Chunk:
        unpacked.append(chunk)
        return unpack(chunk)

    monkeypatch.setattr(reader, "_unpacked", count)
    messages = [message for _, message in recording.messages(["hands"], since=begin + 9_000_000_000)]
    assert [message.result.frame.index for message in messages if isinstance(message, HandsMessage)] == [
        *range(90, 100)
    ]
    assert len(unpacked) == 20  # of each frame its hands and its scene
