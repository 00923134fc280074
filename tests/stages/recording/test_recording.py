"""Recordings: readable by everybody, complete at any moment, never over an existing file."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foxglove_schemas_protobuf.CameraCalibration_pb2 import CameraCalibration
from foxglove_schemas_protobuf.FrameTransform_pb2 import FrameTransform
from foxglove_schemas_protobuf.SceneUpdate_pb2 import SceneUpdate
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from hypothesis import HealthCheck, given, settings, strategies as st
from mcap.reader import make_reader
from mcap.records import Channel, Chunk, Message, Schema

from hamba_core.errors import OutputError, PipelineError, SourceError, WireError
from hamba_core.view import Intrinsics
from stages import wire
from stages.assets.make.foxglove_schemas import SCHEMAS_FILE, make_schemas
from stages.packets import Choice, FrameResult, Hand, Percentiles, RunInfo, Status, WorldPose
from stages.recording import Recorder, RecordingSettings, mcap_file, reader
from stages.recording.format import REPORT, RUN
from stages.recording.mcap_file import McapFile
from stages.recording.reader import read_recording
from stages.wire import HandsMessage

START = 1_700_000_000_000_000_000  # the tests' runs start then

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]


def status(state: str = "running") -> Status:
    nothing = Percentiles(float("nan"), float("nan"), float("nan"))
    choice = Choice("device", "cpu", "no CUDA device was found", fallback=True)
    return Status("hands", state, "", 1.0, 30, 2, 30.0, nothing, (), (choice,), {})


def record(
    path: Path,
    run: RunInfo,
    results: list[FrameResult],
    options: RecordingSettings | None = None,
    end: str | None = "ended",
) -> Path:
    recorder = Recorder(path, options)
    recorder.open(run)
    for result in results:
        recorder.write(result)
    if end:
        recorder.status(status(end))
    recorder.close()
    return path


@pytest.fixture
def recorded(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> Path:
    return record(tmp_path / "hands.mcap", make_run(), [make_result(i, hands=i % 3) for i in range(10)])


def read_by_mcap(path: Path, *topics: str) -> list[tuple[Schema, Channel, Message]]:
    """By MCAP's own reader, which needs the summary and checks its checksum."""
    with path.open("rb") as file:
        return [(s, c, m) for s, c, m in make_reader(file, validate_crcs=True).iter_messages(topics or None) if s]


def assert_same(result: FrameResult, other: FrameResult) -> None:
    assert result.frame == other.frame or repr(result.frame) == repr(other.frame)
    assert len(result.hands) == len(other.hands)
    for hand, other_hand in zip(result.hands, other.hands, strict=True):
        assert (hand.track_id, hand.side) == (other_hand.track_id, other_hand.side)
        for name in ("global_orient", "hand_pose", "betas", "translation", "joints", "joints_2d", "vertices", "box"):
            np.testing.assert_array_equal(getattr(hand, name), getattr(other_hand, name))


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


def test_foxglove_sees_the_meshes_and_skeletons_where_they_are(
    recorded: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    topology = make_run().topology
    for i, (schema, channel, message) in enumerate(read_by_mcap(recorded, "scene/hands")):
        assert (channel.message_encoding, schema.name) == ("protobuf", "foxglove.SceneUpdate")
        scene = SceneUpdate.FromString(message.data)
        hands = make_result(i, hands=i % 3).hands
        assert [entity.id for entity in scene.entities] == [f"hand {hand.track_id}" for hand in hands]
        for entity, hand in zip(scene.entities, hands, strict=True):
            assert entity.frame_id == "camera"
            mesh = entity.triangles[0]
            position = mesh.pose.position
            wrist = np.array([position.x, position.y, position.z])
            points = wrist + [(p.x, p.y, p.z) for p in mesh.points]
            assert np.abs(points - hand.vertices).max() < 1e-4
            np.testing.assert_array_equal(np.reshape(mesh.indices, (-1, 3)), topology.faces_of(hand.side))
            lines = entity.lines[0]
            joints = np.array([(p.x, p.y, p.z) for p in lines.points])
            assert np.abs(joints - hand.joints).max() < 1e-4
            assert (len(lines.indices), len(lines.colors), lines.scale_invariant) == (40, 21, True)


def test_foxglove_is_told_which_hands_are_gone(recorded: Path) -> None:
    scenes = [SceneUpdate.FromString(message.data) for _, _, message in read_by_mcap(recorded, "scene/hands")]
    # Hands go 0, 1, 2, 0, 1, 2...
    assert [[deletion.id for deletion in scene.deletions] for scene in scenes[:4]] == [[], [], [], ["hand 1", "hand 2"]]


def test_foxglove_knows_the_camera_and_stands_it_upright(recorded: Path, make_run: MakeRun) -> None:
    calibration = CameraCalibration.FromString(read_by_mcap(recorded, "camera/hands")[0][2].data)
    np.testing.assert_array_equal(np.reshape(calibration.K, (3, 3)), make_run().source.camera.matrix)
    assert (calibration.width, calibration.height, len(calibration.P), len(calibration.R)) == (640, 480, 12, 9)
    transform = FrameTransform.FromString(read_by_mcap(recorded, "transform/hands")[0][2].data)
    assert (transform.parent_frame_id, transform.child_frame_id) == ("world", "camera")
    x, y, z, w = (getattr(transform.rotation, name) for name in "xyzw")
    up_in_camera = np.array([0.0, -1, 0])
    cross = np.cross([x, y, z], up_in_camera)
    up = up_in_camera + 2 * w * cross + 2 * np.cross([x, y, z], cross)
    np.testing.assert_allclose(up, [0, 0, 1], atol=1e-12)


def test_foxglove_is_told_where_the_camera_stands_whenever_it_moves(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    recorder = Recorder(tmp_path / "hands.mcap")
    recorder.open(make_run())
    T = np.array([[0.0, -1, 0, 0.5], [1, 0, 0, -2], [0, 0, 1, 3], [0, 0, 0, 1]])
    here, there = WorldPose(np.eye(4), "file"), WorldPose(T, "file")
    for index, world in enumerate([here, here, there]):
        result = make_result(index, 1)
        recorder.write(replace(result, frame=replace(result.frame, world=world)))
    recorder.close()
    told = [FrameTransform.FromString(m.data) for _, _, m in read_by_mcap(tmp_path / "hands.mcap", "transform/hands")]
    assert len(told) == 3, "level at first, then here, then there"
    place, turn = told[2].translation, told[2].rotation
    np.testing.assert_allclose([place.x, place.y, place.z], [0.5, -2, 3])
    np.testing.assert_allclose([turn.x, turn.y, turn.z, turn.w], [0, 0, 0.5**0.5, 0.5**0.5], atol=1e-12)


def test_the_schemas_shipped_are_foxgloves() -> None:
    assert SCHEMAS_FILE.read_bytes() == make_schemas()
    assert FileDescriptorSet.FromString(SCHEMAS_FILE.read_bytes()).file


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


def test_without_a_scene_there_are_no_foxglove_channels(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult
) -> None:
    path = record(tmp_path / "a.mcap", make_run(), [make_result()], RecordingSettings(scene="none"))
    assert {channel.topic for _, channel, _ in read_by_mcap(path)} == {"hands/hands", "model/hands", "status/hands"}


def test_a_change_of_camera_is_recorded(tmp_path: Path, make_run: MakeRun, make_result: MakeResult) -> None:
    results = [make_result(0), make_result(1), make_result(2, size=(320, 240))]
    path = record(tmp_path / "a.mcap", make_run(), results)
    widths = [CameraCalibration.FromString(m.data).width for _, _, m in read_by_mcap(path, "camera/hands")]
    assert widths == [640, 320]


def test_a_hand_without_vertices_has_a_skeleton_in_the_scene(
    tmp_path: Path, make_run: MakeRun, make_result: MakeResult, make_hand: Callable[..., Hand]
) -> None:
    path = record(tmp_path / "a.mcap", make_run(), [make_result(hands=(make_hand(vertices=False),))])
    entity = SceneUpdate.FromString(read_by_mcap(path, "scene/hands")[0][2].data).entities[0]
    assert (len(entity.triangles), len(entity.lines)) == (0, 1)


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


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, make_run: MakeRun, make_result: MakeResult) -> Iterator[Path]:
    """A recording of three chunks."""
    path = tmp_path_factory.mktemp("whole") / "a.mcap"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcap_file, "CHUNK_BYTES", 500_000)
        yield record(path, make_run(), [make_result(i) for i in range(10)])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(cut=st.floats(0, 1))
def test_a_recording_cut_anywhere_reads_up_to_the_cut(
    whole: Path, tmp_path: Path, make_result: MakeResult, cut: float
) -> None:
    content, path = whole.read_bytes(), tmp_path / "cut.mcap"
    path.write_bytes(content[: int(cut * len(content))])
    try:
        recording = read_recording(path)
    except SourceError as error:
        assert str(path) in str(error)  # noqa: PT017 - both ways are right
        return
    results = list(recording.results())
    for i, result in enumerate(results):
        assert_same(result, make_result(i))
    assert len(results) >= 10 * cut - 6, "a chunk holds four frames"


def heads_of_records(content: bytes | bytearray) -> list[int]:
    """Where lengths, offsets and ids are: the first bytes of every record, those of the index too."""
    heads, at = set[int](), len(mcap_file.MAGIC)
    while at + 9 <= len(content):
        heads.update(range(at, min(at + 80, len(content))))
        at += 9 + int.from_bytes(content[at + 1 : at + 9], "little")
    return sorted(heads)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_a_damaged_recording_gives_right_results_or_fewer(
    whole: Path, tmp_path: Path, make_result: MakeResult, data: st.DataObject
) -> None:
    content = bytearray(whole.read_bytes())
    anywhere, heads = st.integers(0, len(content) - 1), st.sampled_from(heads_of_records(content))
    for at in data.draw(st.lists(anywhere | heads, min_size=1, max_size=5)):
        content[at] ^= data.draw(st.integers(1, 255) | st.just(128))
    path = tmp_path / "damaged.mcap"
    path.write_bytes(content)
    try:
        recording = read_recording(path)
        results, told = list(recording.results()), recording.last_status()
    except SourceError:
        return
    assert told is None or told.stream == "hands"
    for result in results:
        assert_same(result, make_result(result.frame.index))


@pytest.mark.parametrize("content", [b"", b"not a recording", mcap_file.MAGIC])
def test_what_is_no_recording_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mcap").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.mcap: expected"):
        read_recording(tmp_path / "a.mcap")


def test_a_missing_recording_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"a\.mcap.*No such file"):
        read_recording(tmp_path / "a.mcap")


WRITER = Path(__file__).parents[1] / "write_repeatedly.py"


def test_a_full_disk_is_an_error_and_leaves_a_complete_file(
    whole: Path, tmp_path: Path, make_result: MakeResult
) -> None:
    """A limit on the size of files stands for a full disk: writing fails in the same way, in the middle."""
    path = tmp_path / "a.mcap"
    program = [sys.executable, str(WRITER), "record", str(whole), str(path), "1000", "2000000"]
    ended = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, "a.mcap: expected to be able to write, found: File too large" in ended.stderr) == (
        2,
        True,
    )
    assert path.stat().st_size <= 2_000_000
    by_index = len(read_by_mcap(path, "hands/hands"))
    results = list(read_recording(path).results())
    assert by_index == len(results) > 5
    for i, result in enumerate(results):
        assert_same(replace(result, frame=make_result(i % 10).frame), make_result(i % 10))


def kill_a_writer(whole: Path, path: Path, seconds: float) -> tuple[int, int, bool]:
    """Frames written a second before the kill, frames that are read back, and whether the file has its index."""
    with subprocess.Popen(
        [sys.executable, str(WRITER), "record", str(whole), str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout
        lines = [writer.stdout.readline()]
        # The line says when, on the monotonic clock that all processes share.
        killed = float(lines[0].split()[1]) + seconds
        while float(lines[-1].split()[1]) < killed:
            lines.append(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        lines += writer.stdout
    due = sum(float(line.split()[1]) <= killed - 1 for line in lines if line.endswith("\n"))
    indices = [result.frame.index for result in read_recording(path).results()]
    assert indices == list(range(len(indices)))
    try:
        complete = len(read_by_mcap(path, "hands/hands")) == len(indices)
    except Exception:  # noqa: BLE001 - whatever MCAP's reader says of a file that was being written to
        complete = False
    return due, len(indices), complete


@pytest.mark.parametrize("seconds", [0.0, 0.8, 1.7])
def test_a_recording_survives_a_kill_but_for_the_last_second(whole: Path, tmp_path: Path, seconds: float) -> None:
    due, found, _ = kill_a_writer(whole, tmp_path / "a.mcap", seconds)
    assert found >= due


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_recordings_survive_kills_at_fifty_random_moments(whole: Path, tmp_path: Path) -> None:
    moments = np.random.default_rng(0).uniform(0, 4, 50)
    ends = [kill_a_writer(whole, tmp_path / f"{i}.mcap", seconds) for i, seconds in enumerate(moments)]
    assert all(found >= due for due, found, _ in ends)
    assert sum(complete for _, _, complete in ends) >= 45, "most are complete, with their index"


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
