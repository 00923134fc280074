"""Read a recording back, also one whose end is missing because its writer was killed or its disk was full.

What is damaged is left out, and told by a warning. Reading goes from record to record and needs no index, so memory
stays flat however long the recording is.
"""

import logging
import struct
import zlib
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import zstandard
from mcap.data_stream import ReadDataStream
from mcap.exceptions import McapError
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Attachment, Channel, Chunk, McapRecord, Message
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
    """A take on disk. `read_recording` opens it."""

    path: Path
    run: RecordedRun
    topology: HandTopology

    def run_info(self) -> RunInfo:
        """Return what the run's sinks were told before the first frame, for sinks that it is played into."""
        run = self.run
        return RunInfo(run.stream, run.source, self.topology, run.estimator, run.clock, run.versions, run.settings)

    def messages(self, kinds: Collection[wire.Kind] = wire.KINDS, since: int = 0) -> Iterator[Recorded]:
        """Yield messages of these kinds, in the order written, those that are whole. Raises WireError.

        Those of another take, which another program has put into the same file, are left out: a take is known by its
        stream and by when it began. So are those before `since`, nanoseconds of Unix time, which are hardly read.
        """
        wanted = {f"{kind}/{self.run.stream}" for kind in kinds}
        indexed = _indexed_channels(self.path) if since else {}
        topics = {number: topic for number, topic in indexed.items() if topic in wanted}
        others = 0
        for record in _records(self.path, since=since if len(topics) == len(wanted) else 0):
            match record:
                case Channel() if record.topic in wanted:
                    topics[record.id] = record.topic
                case Message() if record.channel_id in topics and record.log_time >= since:
                    message = wire.decode_map(topics[record.channel_id], record.data)
                    if message.clock == self.run.clock:
                        yield Recorded(record.log_time, message)
                    else:
                        others += 1
        if others:
            logger.warning("%s: %d messages belong to another take and are left out", self.path, others)

    def results(self) -> Iterator[FrameResult]:
        """Yield every frame's hands, in order."""
        for _, message in self.messages(["hands"]):
            if isinstance(message, wire.HandsMessage):
                yield message.result

    def span(self) -> tuple[int, int] | None:
        """Return when its first and its last hands were recorded, nanoseconds of Unix time; None if there are none."""
        first = next(self.messages(["hands"]), None)
        if first is None:
            return None
        last = self._last_by_index("hands") or deque(self.messages(["hands"]), maxlen=1)[0]
        return first.log_time, last.log_time

    def last_status(self) -> Status | None:
        """Return the run's report if the run ended in order (its `state` is not "running"), else the last status."""
        status = None
        last = self._last_by_index("status")
        for _, message in [last] if last else self.messages(["status"]):
            if isinstance(message, wire.StatusMessage):
                status = message.status
        return status

    def _last_by_index(self, kind: wire.Kind) -> Recorded | None:
        """Return the last message of this kind by means of the index; None where that is missing."""
        topic = f"{kind}/{self.run.stream}"
        try:
            with self.path.open("rb") as file:
                found = _last_by_index(file, topic)
        except (*_DAMAGE, OSError):  # the index may lead anywhere, before the file too
            return None
        message = wire.decode_map(topic, found.data) if found else None
        return Recorded(found.log_time, message) if found and message and message.clock == self.run.clock else None


def read_recording(path: str | Path, take: int | None = None) -> Recording:
    """Open a recording. Where another program has put several takes into one file, `take` says which, from 1.

    Raises SourceError where the file is no recording, was cut before anything was in it, or holds several takes and
    none is chosen.
    """
    path = Path(path)
    runs = sorted(
        (_run(path, attachment.data) for attachment in _attachments(path) if attachment.name == RUN),
        key=lambda run: (run.clock.unix_ns, run.stream),
    )
    if runs:
        run = _chosen(path, runs, take)
        topics: dict[int, str] = {}
        for record in _records(path):
            match record:
                case Channel():
                    topics[record.id] = record.topic
                case Message() if topics.get(record.channel_id) == f"model/{run.stream}":
                    message = wire.decode_map(topics[record.channel_id], record.data)
                    if isinstance(message, wire.ModelMessage) and message.clock == run.clock:
                        return Recording(path, run, message.topology)
    raise SourceError(f"{path}: expected a recording of hands, found an MCAP file without a run and a hand model in it")


def _chosen(path: Path, runs: Sequence[RecordedRun], take: int | None) -> RecordedRun:
    if take is not None and not 1 <= take <= len(runs):
        raise SourceError(f"{path}: expected a take from 1 to {len(runs)}, found {take}")
    run = runs[(take or 1) - 1]
    if sum((other.stream, other.clock) == (run.stream, run.clock) for other in runs) > 1:
        raise SourceError(
            f"{path}: expected takes that can be told apart, found the same one twice, of {run.source.name}, in one "
            "file; use the recording that it was made of"
        )
    if take is None and len(runs) > 1:
        described = "; ".join(
            f"{number}: {run.source.name}, stream {run.stream}, "
            f"{datetime.fromtimestamp(run.clock.unix_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
            for number, run in enumerate(runs, 1)
        )
        raise SourceError(
            f"{path}: expected one take, found {len(runs)} that were put into one file ({described}); "
            "choose one with --take"
        )
    return run


def _run(path: Path, data: bytes) -> RecordedRun:
    try:
        return run_of_json(data)
    except ValueError as error:  # of which msgspec's are a kind
        raise SourceError(f"{path}: expected the description of a run in {RUN}, found: {error}") from error


_CONTENT: Final = (Opcode.CHUNK, Opcode.CHANNEL, Opcode.MESSAGE)
"""Where messages and their channels are; a file need not have chunks."""


def _attachments(path: Path) -> Iterator[Attachment]:
    """Return the attachments that are whole. Raises SourceError."""
    return (record for record in _records(path, (Opcode.ATTACHMENT,)) if isinstance(record, Attachment))


def _indexed_channels(path: Path) -> dict[int, str]:
    """Return the topics of the channels that the index at the end of the file knows, by number; none without one."""
    try:
        with path.open("rb") as file:
            summary = make_reader(file).get_summary()
    except (*_DAMAGE, OSError):
        return {}
    return {number: channel.topic for number, channel in summary.channels.items()} if summary else {}


def _records(path: Path, wanted: Collection[Opcode] = _CONTENT, since: int = 0) -> Iterator[McapRecord]:
    """Yield what is in records of these kinds, in order, as far as they are whole. Raises SourceError.

    Chunks that end before `since`, nanoseconds of Unix time, are passed over.
    """
    try:
        with path.open("rb") as file:
            if (magic := file.read(len(MAGIC))) != MAGIC:
                raise SourceError(f"{path}: expected an MCAP recording, found a file that starts {magic!r}")
            yield from chain.from_iterable(_whole_records(file, path.stat().st_size, wanted, since))
    except OSError as error:
        raise SourceError(f"{path}: expected a readable recording, found: {error.strerror or error}") from error


def _whole_records(file: BinaryIO, size: int, wanted: Collection[Opcode], since: int) -> Iterator[list[McapRecord]]:
    while len(header := file.read(9)) == 9:
        opcode, length = struct.unpack("<BQ", header)
        if opcode in (Opcode.DATA_END, Opcode.FOOTER) or length > size - file.tell():
            if opcode == Opcode.DATA_END and Opcode.ATTACHMENT in wanted:
                file.seek(min(length, size), 1)
                _warn_of_another(file, size)
            return
        if opcode not in wanted or (since and opcode == Opcode.CHUNK and _ends_before(file, length, since)):
            file.seek(length, 1)
            continue
        begin, content = file.tell(), file.read(length)
        try:
            yield _read(opcode, content)
        except _DAMAGE as error:
            damage = file.name, begin, zlib.crc32(content)
            if damage not in _said:  # it is read several times
                _said.add(damage)
                logger.warning("%s: %d bytes are damaged and are left out: %s", file.name, length, error)


_said: set[tuple[str, int, int]] = set()
"""Damage that was told: file, place and content."""


def _warn_of_another(file: BinaryIO, size: int) -> None:
    """Tell of another file that begins where this one ends, as `cat` puts them together; stay at its summary's end."""
    while len(header := file.read(9)) == 9:
        opcode, length = struct.unpack("<BQ", header)
        file.seek(min(length, size), 1)  # a length beyond the file ends it
        if opcode == Opcode.FOOTER:
            if file.read(2 * len(MAGIC)) == 2 * MAGIC:
                logger.warning(
                    "%s: another MCAP file begins where this one ends, and is not read; `mcap merge` puts files "
                    "together, `cat` does not",
                    file.name,
                )
            return


def _ends_before(file: BinaryIO, length: int, moment: int) -> bool:
    """Return whether the chunk here says that its last message is from before this moment, ns; stay at its start."""
    if length < 16:
        return False
    first, last = struct.unpack("<QQ", file.read(16))
    file.seek(-16, 1)
    return bool(first <= last < moment)


def _read(opcode: int, content: bytes) -> list[McapRecord]:
    stream = ReadDataStream(BytesIO(content))
    match opcode:
        case Opcode.ATTACHMENT:
            (expected,) = struct.unpack("<I", content[-4:])
            if expected not in (0, zlib.crc32(content[:-4])):  # 0: it has no checksum
                raise ValueError("an attachment does not have its checksum")
            return [Attachment.read(stream)]
        case Opcode.CHANNEL:
            return [Channel.read(stream)]
        case Opcode.MESSAGE:
            return [Message.read(stream, len(content))]
    return breakup_chunk(_unpacked(Chunk.read(stream)), validate_crc=True)


def _unpacked(chunk: Chunk) -> Chunk:
    """Return the same chunk, not compressed. Raises ValueError where it would be larger than any that is written."""
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
    """Return the last message of this topic, found by the index at the end of the file."""
    summary = make_reader(file).get_summary()
    numbers = {number for number, channel in summary.channels.items() if channel.topic == topic} if summary else set()
    for index in reversed(summary.chunk_indexes if summary else []):
        if numbers & index.message_index_offsets.keys():
            file.seek(index.chunk_start_offset + 9)
            for record in reversed(_read(Opcode.CHUNK, file.read(index.chunk_length - 9))):
                if isinstance(record, Message) and record.channel_id in numbers:
                    return record
    return None
