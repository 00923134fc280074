"""Read a recording back, also one whose end is missing because its writer was killed or its disk was full.

What is damaged is left out, and told by a warning. Reading goes from record to record and needs no index, so memory
stays flat however long the recording is.
"""

import logging
import struct
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Attachment, Channel, Chunk, Message
from mcap.stream_reader import breakup_chunk

from hamba_core.errors import SourceError
from stages import wire
from stages.packets import FrameResult, HandTopology, RunInfo, Status
from stages.recording.format import RUN, RecordedRun, run_of_json
from stages.recording.mcap_file import MAGIC

logger = logging.getLogger(__name__)

_LARGEST_CHUNK: Final = 32 << 20  # bytes; recorders write chunks of about 1 to 4 MB
_DAMAGE: Final = (
    McapError, ValueError, LookupError, RuntimeError, struct.error, zstandard.ZstdError, MemoryError, OverflowError,
)  # fmt: skip
"""What mcap and the decompressors raise on records that are cut or overwritten."""


class Recorded(NamedTuple):
    """A message and when it happened, nanoseconds of Unix time."""

    log_time: int
    message: wire.Message


@dataclass(frozen=True)
class Recording:
    """A recording on disk. Made by `read_recording`."""

    path: Path
    run: RecordedRun
    topology: HandTopology

    def run_info(self) -> RunInfo:
        """What its sinks were told before the first frame, for sinks that it is played into."""
        run = self.run
        return RunInfo(run.stream, run.source, self.topology, run.estimator, run.clock, run.versions, run.settings)

    def messages(self, kinds: Collection[wire.Kind] = wire.KINDS) -> Iterator[Recorded]:
        """Messages of these kinds, in the order written, those that are whole. Raises WireError."""
        topics: dict[int, str] = {}
        for record in _records(self.path):
            match record:
                case Channel() if record.topic.partition("/")[0] in kinds:
                    topics[record.id] = record.topic
                case Message() if record.channel_id in topics:
                    yield Recorded(record.log_time, wire.decode_map(topics[record.channel_id], record.data))

    def results(self) -> Iterator[FrameResult]:
        """Every frame's hands, in order."""
        for _, message in self.messages(["hands"]):
            if isinstance(message, wire.HandsMessage):
                yield message.result

    def last_status(self) -> Status | None:
        """The run's report where it ended in order, so that `state` is not "running"; else the last that was heard."""
        status = None
        for message in self._status_by_index() or (recorded.message for recorded in self.messages(["status"])):
            if isinstance(message, wire.StatusMessage):
                status = message.status
        return status

    def _status_by_index(self) -> list[wire.Message]:
        """The last status by means of the index; none where that is missing."""
        topic = f"status/{self.run.stream}"
        try:
            with self.path.open("rb") as file:
                found = _last_by_index(file, topic)
        except (*_DAMAGE, OSError):  # the index may lead anywhere, before the file too
            return []
        return [wire.decode_map(topic, found.data)] if found else []


def read_recording(path: Path) -> Recording:
    """Open a recording. Raises SourceError where it is none, or was cut before anything was in it."""
    run = topology = None
    topics: dict[int, str] = {}
    for record in _records(path):
        match record:
            case Attachment() if record.name == RUN:
                run = _run(path, record.data)
            case Channel():
                topics[record.id] = record.topic
            case Message() if topics.get(record.channel_id, "").startswith("model/"):
                message = wire.decode_map(topics[record.channel_id], record.data)
                topology = message.topology if isinstance(message, wire.ModelMessage) else None
        if run and topology:
            return Recording(path, run, topology)
    raise SourceError(f"{path}: expected a recording of hands, found an MCAP file without a run and a hand model in it")


def _run(path: Path, data: bytes) -> RecordedRun:
    try:
        return run_of_json(data)
    except ValueError as error:  # of which msgspec's are a kind
        raise SourceError(f"{path}: expected the description of a run in {RUN}, found: {error}") from error


_Record = Attachment | Channel | Message


def _records(path: Path) -> Iterator[_Record]:
    """Attachments, channels and messages, those that are whole. Raises SourceError."""
    try:
        with path.open("rb") as file:
            if (magic := file.read(len(MAGIC))) != MAGIC:
                raise SourceError(f"{path}: expected an MCAP recording, found a file that starts {magic!r}")
            yield from chain.from_iterable(_whole_records(file, path.stat().st_size))
    except OSError as error:
        raise SourceError(f"{path}: expected a readable recording, found: {error.strerror or error}") from error


def _whole_records(file: BinaryIO, size: int) -> Iterator[list[_Record]]:
    while len(header := file.read(9)) == 9:
        opcode, length = struct.unpack("<BQ", header)
        if opcode in (Opcode.DATA_END, Opcode.FOOTER) or length > size - file.tell():
            return
        if opcode not in (Opcode.CHUNK, Opcode.ATTACHMENT):
            file.seek(length, 1)
            continue
        content = file.read(length)
        try:
            records = _attachment(content) if opcode == Opcode.ATTACHMENT else _chunk(content)
        except _DAMAGE as error:
            logger.warning("%s: %d bytes are damaged and are left out: %s", file.name, length, error)
            continue
        yield records


def _attachment(content: bytes) -> list[_Record]:
    (expected,) = struct.unpack("<I", content[-4:])
    if expected != zlib.crc32(content[:-4]):
        raise ValueError("an attachment does not have its checksum")
    return [Attachment.read(ReadDataStream(BytesIO(content)))]


def _chunk(content: bytes) -> list[_Record]:
    records = breakup_chunk(_unpacked(Chunk.read(ReadDataStream(BytesIO(content)))), validate_crc=True)
    return [record for record in records if isinstance(record, Channel | Message)]


def _unpacked(chunk: Chunk) -> Chunk:
    """The same chunk, not compressed. Raises ValueError where it would be larger than any that is written."""
    stream: BinaryIO
    match chunk.compression:
        case "":
            return chunk
        case "zstd":
            stream = zstandard.ZstdDecompressor(max_window_size=_LARGEST_CHUNK).stream_reader(BytesIO(chunk.data))
        case "lz4":
            import lz4.frame

            stream = lz4.frame.open(BytesIO(chunk.data))
        case other:
            raise ValueError(f"a chunk is compressed by {other:.40}, which is not read here")
    with stream:
        data = stream.read(_LARGEST_CHUNK + 1)
    if len(data) > _LARGEST_CHUNK:
        raise ValueError(f"a chunk unpacks to more than {_LARGEST_CHUNK >> 20} MiB, which no recorder writes")
    return replace(chunk, compression="", data=data)


def _last_by_index(file: BinaryIO, topic: str) -> Message | None:
    """The last message of this topic, found by the index at the end of the file."""
    summary = make_reader(file).get_summary()
    numbers = {number for number, channel in summary.channels.items() if channel.topic == topic} if summary else set()
    for index in reversed(summary.chunk_indexes if summary else []):
        if numbers & index.message_index_offsets.keys():
            file.seek(index.chunk_start_offset + 9)
            for record in reversed(_chunk(file.read(index.chunk_length - 9))):
                if isinstance(record, Message) and record.channel_id in numbers:
                    return record
    return None
