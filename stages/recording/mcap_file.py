"""An MCAP file that is whole, with its index, after every flush. https://mcap.dev/spec

MCAP ends with a summary that makes a file quick to open. A writer that adds it only on closing leaves a file without
one when the process is killed, and most tools then refuse it. Here each chunk overwrites the summary before it and
is followed by a new one, so that at nearly every moment the file on disk is complete; what a kill in the middle of
a write leaves is read by `stages.recording.reader`, which goes record by record.
"""

import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import zstandard
from mcap.data_stream import RecordBuilder
from mcap.opcode import Opcode
from mcap.records import (
    Attachment,
    AttachmentIndex,
    Channel,
    Chunk,
    ChunkIndex,
    DataEnd,
    Footer,
    Header,
    McapRecord,
    Message,
    MessageIndex,
    Metadata,
    MetadataIndex,
    Schema,
    Statistics,
    SummaryOffset,
)

from hamba_core.errors import OutputError
from stages.common.files import create, output_error

MAGIC: Final = b"\x89MCAP0\r\n"
FLUSH_SECONDS: Final = 0.5
"""A chunk is written once it is this old. With a flush each second where nothing comes, a kill loses under a second."""
CHUNK_BYTES: Final = 4 << 20
ZSTD_LEVEL: Final = 1  # packs vertices better than the default level 3, at half the time


class McapFile:
    """A new MCAP file, open for writing. Every method raises OutputError where the disk refuses.

    After such an error the file is whole up to the chunk before it, and nothing more is written.
    """

    def __init__(self, path: Path, library: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._file = create(path)
        self._failure: OutputError | None = None
        self._end = 0  # where the next record of the data section goes
        self._size = 0  # of the file
        self._tail = b""  # what stands there after _end
        self._untailed = 0  # bytes written since the last tail
        self._channels = 0
        self._counts: Counter[int] = Counter()
        self._summary = _Summary()
        self._start_chunk()
        try:
            self._append(MAGIC + _bytes_of(Header("", library)))
        except OutputError:
            self._file.close()
            raise

    @property
    def failed(self) -> bool:
        """Whether the disk refused, so that nothing more is written."""
        return self._failure is not None

    def add_channel(
        self, topic: str, message_encoding: str, schema_name: str, schema_encoding: str, schema: bytes
    ) -> int:
        """Add a channel and its schema, and return their number."""
        self._channels = number = self._channels + 1
        self._new_channels += (
            Schema(id=number, name=schema_name, encoding=schema_encoding, data=schema),
            Channel(id=number, topic=topic, message_encoding=message_encoding, metadata={}, schema_id=number),
        )
        for record in self._new_channels[-2:]:
            record.write(self._chunk)
        return number

    def add_message(self, channel: int, log_time: int, publish_time: int, data: bytes) -> None:
        """Add a message; times are nanoseconds of Unix time. It is on disk after the next flush."""
        if not self._indices:
            self._chunk_since = self._clock()
            self._chunk_first = self._chunk_last = log_time
        self._chunk_first = min(self._chunk_first, log_time)
        self._chunk_last = max(self._chunk_last, log_time)
        index = self._indices.setdefault(channel, MessageIndex(channel, []))
        index.records.append((log_time, self._chunk.count))
        sequence = self._counts[channel] & 0xFFFFFFFF
        self._counts[channel] += 1
        Message(channel_id=channel, log_time=log_time, data=data, publish_time=publish_time, sequence=sequence).write(
            self._chunk
        )
        if self._chunk.count >= CHUNK_BYTES or self._clock() - self._chunk_since >= FLUSH_SECONDS:
            self.flush()

    def add_attachment(self, name: str, media_type: str, data: bytes, log_time: int) -> None:
        """Add a file inside the file; it is on disk at once."""
        self.flush()
        record = _bytes_of(
            Attachment(create_time=log_time, log_time=log_time, name=name, media_type=media_type, data=data)
        )
        entry = AttachmentIndex(self._end, len(record), log_time, log_time, len(data), name, media_type)
        self._append(record, entry)

    def add_metadata(self, name: str, values: Mapping[str, str]) -> None:
        """Add names and texts; they are on disk at once."""
        self.flush()
        record = _bytes_of(Metadata(name=name, metadata=dict(values)))
        self._append(record, MetadataIndex(self._end, len(record), name))

    def flush(self) -> None:
        """Hand everything to the operating system: a kill of this process loses none of it."""
        if self._failure:
            raise self._failure
        if not self._indices:
            return
        content = _content(self._chunk)
        compressed = zstandard.compress(content, ZSTD_LEVEL)
        chunk = _bytes_of(
            Chunk(
                compression="zstd",
                data=compressed,
                message_start_time=self._chunk_first,
                message_end_time=self._chunk_last,
                uncompressed_crc=zlib.crc32(content),
                uncompressed_size=len(content),
            )
        )
        indices, offsets = RecordBuilder(), {}
        for channel, index in self._indices.items():
            offsets[channel] = self._end + len(chunk) + indices.count
            index.write(indices)
        entry = ChunkIndex(
            message_start_time=self._chunk_first,
            message_end_time=self._chunk_last,
            chunk_start_offset=self._end,
            chunk_length=len(chunk),
            message_index_offsets=offsets,
            message_index_length=indices.count,
            compression="zstd",
            compressed_size=len(compressed),
            uncompressed_size=len(content),
        )
        self._summary.count(self._indices, self._chunk_first, self._chunk_last)
        self._summary.channels += self._new_channels
        self._start_chunk()
        self._append(chunk + _content(indices), entry)

    def close(self) -> None:
        """Flush, write the summary and close."""
        try:
            if not self._failure:
                self.flush()
                if not self._tail:
                    self._replace_tail(b"", self._summary.tail(self._end))
        finally:
            self._file.close()

    def _start_chunk(self) -> None:
        self._chunk = RecordBuilder()
        self._indices: dict[int, MessageIndex] = {}
        self._new_channels: list[Schema | Channel] = []
        self._chunk_since = self._clock()
        self._chunk_first = self._chunk_last = 0

    def _append(self, records: bytes, entry: "_IndexEntry | None" = None) -> None:
        """Write whole records in the place of the summary, and a new summary after them."""
        if self._failure:
            raise self._failure
        if entry:
            self._summary.add(entry)
        tail = self._summary.tail(self._end + len(records))
        self._untailed += len(records)
        # A summary grows with the file. Past some hours it is written less often than the records.
        if len(tail) > 4 * self._untailed + CHUNK_BYTES:
            tail = b""
        self._replace_tail(records, tail)

    def _replace_tail(self, records: bytes, tail: bytes) -> None:
        try:
            if len(records) + len(tail) < self._size - self._end:
                self._file.truncate(self._end)
            self._write_at(self._end, records + tail)
        except OSError as error:
            self._failure = output_error(self._path, error)
            self._restore()
            raise self._failure from error
        self._end += len(records)
        self._size = self._end + len(tail)
        self._tail = tail
        if tail:
            self._untailed = 0

    def _restore(self) -> None:
        """Take back what was written in part. The old summary had its place, so it fits again."""
        try:
            self._file.truncate(self._end)
            self._write_at(self._end, self._tail)
        except OSError:
            # Somebody else took the space. The records before are whole, and readable without a summary.
            with suppress(OSError):
                self._file.truncate(self._end)

    def _write_at(self, offset: int, data: bytes) -> None:
        self._file.seek(offset)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) or 0 :]


_IndexEntry = ChunkIndex | AttachmentIndex | MetadataIndex


class _Summary:
    """What the end of an MCAP file says about the rest of it."""

    def __init__(self) -> None:
        self.channels: list[Schema | Channel] = []
        self._counts: Counter[int] = Counter()
        self._first = self._last = 0
        self._entries: dict[type[McapRecord], bytearray] = defaultdict(bytearray)
        self._numbers: Counter[type[McapRecord]] = Counter()

    def count(self, indices: Mapping[int, MessageIndex], first: int, last: int) -> None:
        """Add a chunk's messages and their times to the statistics."""
        self._first = min(self._first, first) if self._counts else first
        self._last = max(self._last, last)
        self._counts.update({channel: len(index.records) for channel, index in indices.items()})

    def add(self, entry: _IndexEntry) -> None:
        """Add an entry to an index."""
        self._entries[type(entry)] += _bytes_of(entry)
        self._numbers[type(entry)] += 1

    def tail(self, offset: int) -> bytes:
        """Return the bytes from the end of the data section, at this offset, to the end of the file."""
        data_end = _bytes_of(DataEnd(0))
        start = offset + len(data_end)
        schemas = [record for record in self.channels if isinstance(record, Schema)]
        channels = [record for record in self.channels if isinstance(record, Channel)]
        statistics = Statistics(
            message_count=self._counts.total(),
            schema_count=len(schemas),
            channel_count=len(channels),
            attachment_count=self._numbers[AttachmentIndex],
            metadata_count=self._numbers[MetadataIndex],
            chunk_count=self._numbers[ChunkIndex],
            message_start_time=self._first,
            message_end_time=self._last,
            channel_message_counts=dict(self._counts),
        )
        groups = {
            Opcode.SCHEMA: b"".join(map(_bytes_of, schemas)),
            Opcode.CHANNEL: b"".join(map(_bytes_of, channels)),
            Opcode.STATISTICS: _bytes_of(statistics),
            Opcode.CHUNK_INDEX: bytes(self._entries[ChunkIndex]),
            Opcode.ATTACHMENT_INDEX: bytes(self._entries[AttachmentIndex]),
            Opcode.METADATA_INDEX: bytes(self._entries[MetadataIndex]),
        }
        summary, offsets = RecordBuilder(), RecordBuilder()
        for opcode, records in groups.items():
            if records:
                SummaryOffset(opcode, start + summary.count, len(records)).write(offsets)
                summary.write(records)
        offsets_start = start + summary.count
        content = _content(summary) + _content(offsets)
        # The checksum covers the summary and the footer up to the checksum itself.
        unchecked = _bytes_of(Footer(start, offsets_start, 0))[:-4]
        footer = _bytes_of(Footer(start, offsets_start, zlib.crc32(content + unchecked)))
        return data_end + content + footer + MAGIC


def _bytes_of(record: McapRecord) -> bytes:
    builder = RecordBuilder()
    record.write(builder)
    return _content(builder)


def _content(builder: RecordBuilder) -> bytes:
    return bytes(builder.end())  # type: ignore[no-untyped-call]
