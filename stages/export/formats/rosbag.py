"""A ROS 2 bag: a folder with an MCAP file, messages in CDR and their definitions, as `ros2 bag play` reads it.

It is written by `rosbags`; no ROS is needed. Stamps are those of capture, for a file by its own time. QoS is told as
the live node offers it.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hamba_core.errors import ConfigurationError
from hamba_core.hand import Side
from hamba_core.packages import needed_for
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection
from stages.packets import FrameResult, Hand
from stages.ros import RosNames, RosPoints, RosTopic, RosValue, messages_of, topics_of

if TYPE_CHECKING:
    from rosbags.interfaces import Qos
    from rosbags.typesys.store import Typestore


def export_rosbag(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one bag. Raises DependencyError without rosbags, ConfigurationError for single pictures."""
    recording = selection.recording
    if recording.run.source.stills:
        raise ConfigurationError(
            f"{recording.path}: expected a recording of a video or of a scene, found one of single pictures, which "
            "have no times; export them to another form"
        )
    with needed_for("ROS 2 bags"):
        from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
        from rosbags.typesys import Stores, get_typestore
    store = get_typestore(Stores.ROS2_JAZZY)
    names, run = RosNames(recording.run.stream), recording.run
    meshed = any(track.vertices for track in selection.tracks)
    bag = folder / f"{recording.path.stem}-rosbag"
    before: dict[Side, Hand] = {}
    writer = Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with writer:
        connections = {
            topic.name: writer.add_connection(
                topic.name, topic.type, typestore=store, offered_qos_profiles=[_qos(topic)]
            )
            for topic in topics_of(names, mesh=meshed)
        }
        for number, result in enumerate(_chosen(selection, settings)):
            frame = result.frame
            since = frame.captured_ns - run.clock.monotonic_ns if run.source.live else round(frame.pts * 1e9)
            stamp = run.clock.unix_ns + since
            now = {hand.side: hand for hand in result.hands}
            gone = [hand for side, hand in before.items() if side not in now]
            before = now
            for topic, value in messages_of(result, recording.topology if meshed else None, names, stamp, gone):
                content = store.serialize_cdr(rosbags_message(value, store), value.type)
                writer.write(connections[topic], stamp, content)
            on_progress(min(1.0, (number + 1) / max(selection.frames, 1)))
    return _unfolded(bag, folder)


def _unfolded(bag: Path, folder: Path) -> list[Path]:
    """Take the bag's files out of its folder, since what an exporter leaves becomes the folder itself."""
    files = [file.rename(folder / file.name) for file in sorted(bag.iterdir())]
    bag.rmdir()
    return files


def _chosen(selection: Selection, settings: ExportSettings) -> Iterator[FrameResult]:
    """Yield the frames with the chosen hands, or none, in order."""
    ids = {(track.id, track.side) for track in selection.tracks}
    for result in selection.recording.results():
        pts = result.frame.pts
        if settings.end is not None and pts > settings.end:
            return
        if settings.start is None or pts >= settings.start:
            yield replace(result, hands=tuple(hand for hand in result.hands if (hand.track_id, hand.side) in ids))


def rosbags_message(value: RosValue, store: "Typestore") -> Any:
    """Return a value as an instance of the type that rosbags has for it."""
    fields = {name: _field(field, store) for name, field in value.fields.items()}
    return store.types[value.type](**fields)


def _field(field: Any, store: "Typestore") -> Any:
    if isinstance(field, RosValue):
        return rosbags_message(field, store)
    if isinstance(field, RosPoints):
        point = store.types["geometry_msgs/msg/Point"]
        return [point(x, y, z) for x, y, z in field.rows.tolist()]
    if isinstance(field, list):
        return [_field(each, store) for each in field]
    return field


def _qos(topic: RosTopic) -> "Qos":
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    unset = QosTime(0, 0)
    reliable = QosReliability.RELIABLE if topic.reliable else QosReliability.BEST_EFFORT
    return Qos(
        QosHistory.KEEP_LAST, 100 if topic.reliable else 5, reliable, QosDurability.VOLATILE, unset, unset,
        QosLiveliness.SYSTEM_DEFAULT, unset, False,
    )  # fmt: skip
