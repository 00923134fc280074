"""Record everything into one MCAP file that Foxglove opens and `stages.recording.reader` reads back.

Channels: `hands/<stream>`, `model/<stream>` and `status/<stream>` hold the maps of the wire protocol; `scene/<stream>`,
`camera/<stream>` and `transform/<stream>` show the same to Foxglove. A message's time is when its frame was captured,
or, of a file, the run's start plus the frame's own time, so that a recording plays at the pace of its source.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from pydantic import Field

from hamba_core.errors import PipelineError
from hamba_core.view import Intrinsics
from stages import wire
from stages.common.palette import HandColours
from stages.contract import Sink
from stages.packets import FrameMeta, FrameResult, RunInfo, Status, WorldPose
from stages.recording.format import LIBRARY, REPORT, RUN, SUMMARY, RecordedRun, run_json, status_json
from stages.settings import StageSettings

if TYPE_CHECKING:
    from stages.recording.mcap_file import McapFile

_LATEST_NS: Final = (2**32 - 1) * 10**9  # Foxglove's seconds have 32 bits; ROS's too
_SCHEMAS: Final[dict[wire.Kind, str]] = {"hands": "hamba.Hands", "model": "hamba.Model", "status": "hamba.Status"}


class RecordingSettings(StageSettings):
    """Settings of what is recorded."""

    enabled: bool = Field(True, description="write the recording")
    vertices: wire.VertexForm = Field(
        "float32", description="float32, float16 (half the size, within 0.25 mm nearer than 1 m), or none"
    )
    scene: Literal["meshes", "skeletons", "none"] = Field("meshes", description="what Foxglove's 3D panel shows")


class Recorder(Sink):
    """It writes an MCAP file at `path`, which must not exist. After a kill it lacks at most the last second."""

    name = "record"
    spare = True

    def __init__(self, path: Path, settings: RecordingSettings | None = None) -> None:
        self._path = path
        self._settings = settings or RecordingSettings()
        self._file: McapFile | None = None
        self._report: Status | None = None
        self._seq = 0
        self._tracks: set[int] = set()
        self._colours = HandColours()
        self._camera: tuple[Intrinsics, int, int] | None = None
        self._world: WorldPose | None = None

    def open(self, run: RunInfo) -> None:
        from stages.recording import foxglove
        from stages.recording.mcap_file import McapFile

        self._run = run
        self._start_ns = self._newest_ns = _recordable(run.clock.unix_ns)
        self._file = file = McapFile(self._path, LIBRARY)
        recorded = RecordedRun.of(run)
        file.add_attachment(RUN, "application/json", run_json(recorded), self._start_ns)
        file.add_metadata(SUMMARY, _at_a_glance(recorded))
        self._channels = {
            kind: file.add_channel(
                f"{kind}/{run.stream}", "msgpack", schema, "jsonschema", msgspec.json.encode(wire.json_schema(kind))
            )
            for kind, schema in _SCHEMAS.items()
        }
        self._write(
            "model",
            wire.ModelMessage(run.stream, run.topology, run.estimator, run.versions, time.monotonic_ns(), run.clock),
        )
        if self._settings.scene != "none":
            schemas = foxglove.schemas()
            self._scene, self._calibration, self._transform = (
                file.add_channel(f"{topic}/{run.stream}", "protobuf", schema, "protobuf", schemas)
                for topic, schema in (
                    ("scene", foxglove.SCENE_SCHEMA),
                    ("camera", foxglove.CALIBRATION_SCHEMA),
                    ("transform", foxglove.TRANSFORM_SCHEMA),
                )
            )
            data = foxglove.camera_transform(self._start_ns)
            file.add_message(self._transform, self._start_ns, self._start_ns, data)
        file.flush()

    def write(self, result: FrameResult) -> None:
        self._newest_ns = self._time_of(result.frame)
        self._write("hands", wire.HandsMessage(self._seq, result, time.monotonic_ns(), self._run.clock))
        self._seq += 1
        if self._settings.scene != "none":
            self._write_scene(result)

    def status(self, status: Status) -> None:
        if self._run.source.live:
            self._newest_ns = max(self._newest_ns, self._unix(time.monotonic_ns()))
        self._write("status", wire.StatusMessage(status, time.monotonic_ns(), self._run.clock))
        self._opened.flush()
        if status.state != "running":
            self._report = status

    def close(self) -> None:
        if self._file is None:
            return
        try:
            if self._report is not None and not self._file.failed:
                self._file.add_attachment(REPORT, "application/json", status_json(self._report), self._newest_ns)
        finally:
            self._file.close()
            self._file = None

    @property
    def _opened(self) -> "McapFile":
        if self._file is None:
            raise PipelineError("record: expected to be opened before it is used, found it closed")
        return self._file

    def _write(self, kind: wire.Kind, message: wire.HandsMessage | wire.ModelMessage | wire.StatusMessage) -> None:
        data = wire.encode_map(message, self._settings.vertices)
        self._opened.add_message(self._channels[kind], self._newest_ns, self._unix(message.published_ns), data)

    def _write_scene(self, result: FrameResult) -> None:
        from stages.recording import foxglove

        now, frame = self._newest_ns, result.frame
        if (seen := (frame.camera, frame.width, frame.height)) != self._camera:
            self._camera = seen
            self._opened.add_message(self._calibration, now, now, foxglove.camera_calibration(*seen, now))
        if frame.world is not None and frame.world is not self._world:
            self._world = frame.world
            transform = foxglove.camera_transform(now, frame.world.T_world_camera)
            self._opened.add_message(self._transform, now, now, transform)
        tracks = {hand.track_id for hand in result.hands}
        gone = sorted(self._tracks - tracks)
        self._tracks = tracks
        data = foxglove.scene_update(
            result,
            self._run.topology,
            now,
            gone=gone,
            colours=self._colours.of(result.hands),
            meshes=self._settings.scene == "meshes",
        )
        self._opened.add_message(self._scene, now, now, data)

    def _unix(self, monotonic_ns: int) -> int:
        return _recordable(monotonic_ns - self._run.clock.monotonic_ns + self._run.clock.unix_ns)

    def _time_of(self, frame: FrameMeta) -> int:
        if self._run.source.live:
            return self._unix(frame.captured_ns)
        return _recordable(self._start_ns + round(frame.pts * 1e9))


def _recordable(time_ns: int) -> int:
    """Return a time as MCAP and Foxglove have it: not before 1970, as an unset clock may say, nor after 2106."""
    return min(max(time_ns, 0), _LATEST_NS)


def _at_a_glance(run: RecordedRun) -> dict[str, str]:
    source, camera = run.source, run.source.camera
    return {
        "stream": run.stream,
        "source": source.name,
        "size": f"{source.width}x{source.height}",
        "rate": "unknown" if source.fps is None else f"{source.fps:g}",
        "camera": f"fx {camera.fx:g}, fy {camera.fy:g}, cx {camera.cx:g}, cy {camera.cy:g}"
        + (" (estimated)" if camera.estimated else ""),
        "estimator": run.estimator,
        "hand model": run.hand_model,
        **{f"version {name}": version for name, version in run.versions.items()},
    }
