"""This session reads pictures that a camera sends one after another: as parts of one answer over HTTP (MJPEG), or
bare over TCP or HTTP.

FFmpeg makes the connection and gives the bytes as they come; `stages.sources.pictures.multipart`, which takes what
browsers take, tells the parts apart. Each picture is due when it arrived: such a stream has no times of its own.
"""

import time
from collections.abc import Generator, Iterator

import av

from hamba_core.errors import SourceError
from hamba_core.text import counted
from stages.packets import Choice
from stages.sources.decoding import PixelConverter, open_container
from stages.sources.live.packet import Packet
from stages.sources.live.refusals import dropped
from stages.sources.live.session import Decoded, Session
from stages.sources.pictures.multipart import Parts, begins_multipart
from stages.sources.pictures.still_decoding import decoded
from stages.sources.settings import SourceSettings

_HEAD_BYTES = 2048
_JPEG = b"\xff\xd8\xff"
_MAX_UNDECODED = 100  # pictures in a row
_MAX_UNDECODED_AT_FIRST = 5  # the first may be the rest of one; all that are too small are alike


class MultipartSession(Session):
    """One connection to a camera that sends pictures. Raises SourceError from `pictures` where it drops."""

    def __init__(self, chunks: "_Chunks", head: bytes, settings: SourceSettings) -> None:
        self._chunks = chunks
        self._head = head
        self._settings = settings
        self._pixels = PixelConverter(settings.decoding.max_side)
        self._lost = 0
        self._undecoded = 0
        self._came = False
        self._parts = Parts()

    def packets(self) -> Generator[Packet]:
        """Yield pictures, not decoded, as they arrive."""
        for data in self._data():
            arrived_ns = time.monotonic_ns()
            for part in self._parts.feed(data):
                yield Packet(part, arrived_ns, size=len(part))

    def decode(self, packet: Packet, *, hurry: bool) -> Iterator[Decoded]:
        """Yield the picture, unless it is damaged."""
        try:
            image = decoded(packet.data, self._pixels, self._settings)[0]
        except SourceError as error:
            self._lost += 1
            self._undecoded += 1
            self.unread = error
            if self._undecoded >= (_MAX_UNDECODED if self._came else _MAX_UNDECODED_AT_FIRST):
                raise SourceError(f"of the last {self._undecoded} pictures none could be read: {error}") from error
            return
        self._undecoded = 0
        self._came = True
        yield Decoded(None, lambda: image)

    def close(self) -> None:
        """Hang up."""
        self._chunks.close()

    def choices(self) -> tuple[Choice, ...]:
        """Return the decoder, and how many pictures were damaged."""
        chosen = Choice("decoder", "mjpeg, FFmpeg software", "pictures one after another, timed as they arrive")
        if not self._lost:
            return (chosen,)
        damaged = f"{counted(self._lost, 'picture')} not decoded"
        return (chosen, Choice("damaged input", damaged, "the data is damaged there", fallback=True))

    def _data(self) -> Iterator[bytes]:
        yield self._head
        yield from self._chunks


def pictures_or_bytes(
    address: str, settings: SourceSettings, options: dict[str, str], timeout: tuple[float, float]
) -> "MultipartSession | Bytes":
    """Return a connection to a sender of pictures; if it sends something else, its bytes from the first one on.

    Pictures come in parts of an answer, or one after another, over TCP or as an answer without end. Raises what FFmpeg
    raises if the address cannot be opened, SourceError if nothing comes.
    """
    chunks = _Chunks(address, settings, options, timeout)
    plain = address.startswith("tcp:") or chunks.size <= 0  # pictures without parts, and no file
    try:
        head = b""
        for data in chunks:
            head += data
            if (plain and head.startswith(_JPEG)) or begins_multipart(head):
                return MultipartSession(chunks, head, settings)
            if len(head) >= _HEAD_BYTES or not head.lstrip()[:2].isascii():
                break
    except SourceError:
        if not head:  # else what came tells what is there
            chunks.close()
            raise
    except BaseException:
        chunks.close()
        raise
    return Bytes(chunks, head)


class Bytes:
    """What comes over a connection, for FFmpeg to read as it reads a file."""

    def __init__(self, chunks: "_Chunks", head: bytes) -> None:
        self._chunks = chunks
        self._waiting = self.head = head
        self.size = chunks.size
        """Bytes, as the sender says; 0 or less where it does not."""
        self.has_end = chunks.size > 0
        """Whether the sender says how long they are."""
        self.is_published = head[:8] == b"\xff" + 7 * b"\0" and head[9:10] == b"\x7f"
        """Whether they begin as ZeroMQ greets: not with a stream, but with what a run publishes."""
        self.is_text = not head or all(byte >= 32 or byte in b"\t\r\n" for byte in head[:512])
        """Whether they begin as a text, as a playlist is."""
        self.is_page = self.is_text and head.lstrip()[:1] == b"<" and b"<html" in head[:_HEAD_BYTES].lower()
        """Whether they are a page for browsers."""

    def read(self, size: int) -> bytes:
        """Return what is there, at most so many bytes; wait where there is nothing. Raises SourceError if none come."""
        if not self._waiting:
            self._waiting = next(self._chunks, b"")
        given, self._waiting = self._waiting[:size], self._waiting[size:]
        return given

    def close(self) -> None:
        """Hang up."""
        self._chunks.close()


class _Chunks:
    """The bytes at an address as they come. Raises SourceError if none come in time."""

    def __init__(
        self, address: str, settings: SourceSettings, options: dict[str, str], timeout: tuple[float, float]
    ) -> None:
        self._timeout = timeout[1]
        options = {**options, "raw_packet_size": "65536"}
        self._container = open_container(address, settings, format="data", options=options, timeout=timeout)
        self._packets = self._container.demux(self._container.streams[0])
        self.size = self._container.size  # bytes; 0 or less where unknown

    def __iter__(self) -> "_Chunks":
        return self

    def __next__(self) -> bytes:
        try:
            data = bytes(next(self._packets))
        except (av.FFmpegError, OSError) as error:
            if isinstance(error, av.error.ExitError):
                raise SourceError(f"nothing came within {self._timeout:g} s") from error
            raise SourceError(dropped(error)) from error
        if not data:  # the empty packet at the end
            raise StopIteration
        return data

    def close(self) -> None:
        self._container.close()
