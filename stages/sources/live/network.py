"""The network source is a stream, or a file, at an address on the network."""

import logging
import os
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from functools import partial

import av
from av.container import InputContainer

from hamba_core.errors import SourceError
from stages.packets import Choice
from stages.sources.address import revealed, source_name
from stages.sources.decoding import (
    IN_PIECES,
    PixelConverter,
    VideoDecoder,
    formats_of_address,
    open_container,
    open_decoder,
    reason_of,
    stamp_of,
    wall_time_of,
    whole_pictures,
)
from stages.sources.foreign import unread_at_address
from stages.sources.live.fetching import fetched, has_index_at_end
from stages.sources.live.live_source import LiveSource
from stages.sources.live.multipart_stream import Bytes, pictures_or_bytes
from stages.sources.live.packet import Packet
from stages.sources.live.refusals import check_address, dropped, not_opened, not_streaming, without_ranges
from stages.sources.live.session import Decoded, Session
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

SCHEMES = frozenset(("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt"))

_UNTIMED = frozenset(("mpjpeg", "mjpeg", "h264", "hevc", "vvc", "obu", "m4v", "mpegvideo", "cavsvideo", "image2pipe"))
"""Formats without times of their own; the steps of 1/25 s that FFmpeg gives them mean nothing."""
_PICTURES = "_pipe"  # ends FFmpeg's names of pictures one after another, which have none either

_QUICK = {"fpsprobesize": "0", "analyzeduration": "300000"}
"""Options for a connection that is made again: what is known is not looked for, in seconds of the stream."""

_ANY_FORMAT = {"format_whitelist": formats_of_address()}

_PIECE, _LONGEST_PIECE = 10.0, 60.0
"""Seconds of a piece where the playlist does not say, and the most that it is believed."""
_PIECES_WAITED = 3

_LEAST_BEHIND = 1 << 16
"""Bytes from which on what comes behind the last picture of a file is told of, if it is a tenth of it too."""

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_OPTIONS = {
    # Over TCP no packet is lost; where a camera speaks only UDP, that is tried next. A packet that is lost there is
    # waited for so many microseconds, and not half a second.
    "rtsp": {"rtsp_flags": "prefer_tcp", "max_delay": "100000"},
    "rtsps": {"rtsp_flags": "prefer_tcp", "max_delay": "100000"},
    # A burst that overruns the buffer costs pictures, not the connection.
    "udp": {"overrun_nonfatal": "1", "fifo_size": "50000"},
    # Ask for the rest of a file when the connection breaks.
    "http": {"reconnect": "1", "reconnect_delay_max": "4"},
    "https": {"reconnect": "1", "reconnect_delay_max": "4"},
}


def scheme_of(text: str) -> str | None:
    """Return the scheme of an address, in small letters; None if it is not an address."""
    match = _ADDRESS.match(text)
    return match.group(1).lower() if match else None


def network_source(text: str, settings: SourceSettings, stream: str) -> LiveSource:
    """Return the source for an address. A stream is live, and opened again when it drops; a file is read once.

    What is secret in an address (`stages.sources.address`) is not shown anywhere.
    """
    shown = str(source_name(text))
    before: Session | None = None

    def connect() -> Session:
        nonlocal before
        session = _connected(revealed(text), shown, settings, before, source.heard)
        if before is not None:
            session.rate = before.rate
        before = session
        return session

    source = LiveSource(shown, "network", connect, settings, stream)
    return source


def _connected(
    address: str, shown: str, settings: SourceSettings, before: Session | None, heard: Callable[[], bool]
) -> Session:
    """Return a connection; `before` is the one that dropped, if there was one. `heard` is told where it takes long."""
    scheme = scheme_of(address) or ""
    timeout = (settings.live.open_timeout, settings.live.read_timeout)
    options = {**_OPTIONS.get(scheme, {}), **(_QUICK if before else {})}
    started = time.monotonic()
    with ExitStack() as opened:
        connected, head = False, b""
        whole: Bytes | None = None  # what is to be fetched before it can be read
        check_address(address, shown)
        try:
            container: InputContainer | None = None
            if scheme in ("http", "https", "tcp"):
                # The option that asks for the rest is left out: what a camera sends has no rest.
                found = pictures_or_bytes(_with_small_scheme(address), settings, {}, timeout)
                if isinstance(found, Session):
                    return found
                connected, head = True, found.head
                if found.is_page:
                    found.close()
                    raise SourceError("it is a web page and not the stream itself")
                if what := unread_at_address(found.head):
                    found.close()
                    raise SourceError(f"it is {what}")
                if found.is_published:
                    found.close()
                    raise SourceError("hands are published there (ZeroMQ), which hamba view, web and record follow")
                # Some senders take one connection and no other; but what ends, or leads elsewhere, FFmpeg opens itself.
                if scheme == "tcp" or not (found.has_end or found.is_text):
                    opened.callback(found.close)
                    whole = found if has_index_at_end(head) else None
                    known = before.format if isinstance(before, NetworkSession) else None
                    if whole is None:
                        container = open_container(found, settings, format=known, options={**options, **_ANY_FORMAT})
                else:
                    found.close()
                    # A playlist's next piece may take as long as a piece lasts.
                    timeout = (timeout[0], max(timeout[1], _PIECES_WAITED * _piece_seconds(found.head)))
            if container is None and whole is None:
                container = open_container(_with_small_scheme(address), settings, options=options, timeout=timeout)
                if has_index_at_end(head):
                    container = _begun_anew(container, _with_small_scheme(address), settings, options, timeout)
        except SourceError as error:
            raise not_streaming(error, address, shown) from error
        except (av.FFmpegError, OSError, UnicodeError, ValueError) as error:
            if without_ranges(error, address) is None or not has_index_at_end(head):
                late = isinstance(error, av.error.ExitError) or time.monotonic() - started >= timeout[0]
                # FFmpeg's own words have the password in them.
                raise not_opened(error, address, shown, late=timeout[0] if late else None, connected=connected) from (
                    error if shown == address else None
                )
            again = pictures_or_bytes(_with_small_scheme(address), settings, {}, timeout)
            if isinstance(again, Session):
                return again
            opened.callback(again.close)
            whole = again
        if whole is not None:
            container = _fetched(whole, shown, settings, opened, heard)
        if container is None:
            raise SourceError(f"{shown}: expected a connection, found none")
        opened.callback(container.close)
        session = NetworkSession(container, address, shown, settings, timeout[1], fetched=whole is not None)
        session.opened = opened.pop_all()
        return session


def _begun_anew(
    container: InputContainer,
    address: str,
    settings: SourceSettings,
    options: Mapping[str, str],
    timeout: tuple[float, float],
) -> InputContainer:
    """Return another container of the same file, once its first packet could be had after its index.

    Where the server knows no ranges, FFmpeg finds the index of a file that it was sent whole, and then no picture.
    """
    with closing(container):
        next(container.demux(), None)
    return open_container(address, settings, options=options, timeout=timeout)


def _fetched(
    found: Bytes, shown: str, settings: SourceSettings, opened: ExitStack, heard: Callable[[], bool]
) -> InputContainer:
    """Return the container of a file that was fetched whole."""
    file = opened.enter_context(fetched(found, shown, settings, heard))
    found.close()
    try:
        return open_container(file, settings)
    except (av.FFmpegError, OSError, ValueError) as error:
        size = file.seek(0, os.SEEK_END)
        raise SourceError(
            f"{shown}: expected a whole MP4 or MOV, found {size:,} bytes without a readable index (moov), which stands "
            f"at the end of this one: what was sent broke off, or is damaged ({reason_of(error)})"
        ) from error


def _with_small_scheme(address: str) -> str:
    scheme = scheme_of(address) or ""
    return scheme + address[len(scheme) :]  # FFmpeg takes small letters alone


class NetworkSession(Session):
    """One connection that FFmpeg has opened. Raises SourceError if there is no video."""

    def __init__(
        self,
        container: InputContainer,
        address: str,
        shown: str,
        settings: SourceSettings,
        timeout: float,
        *,
        fetched: bool = False,
    ) -> None:
        self._shown = shown
        self._address = address
        self._pixels = PixelConverter(settings.decoding.max_side)
        self.opened = ExitStack()
        """What is closed with it: the container, and what that reads from."""
        try:
            self._decoder: VideoDecoder = open_decoder(container, settings, live=True)
        except SourceError as error:
            raise SourceError(f"{shown}: {error}") from error
        decoder = self._decoder
        self._timeout = timeout
        self.format = container.format.name
        """As FFmpeg names it."""
        self._arrival_times = self.format in _UNTIMED or self.format.endswith(_PICTURES)
        self.live = not fetched and (scheme_of(address) not in ("http", "https") or not _has_end(container))
        self._fetched = container.size if fetched else 0
        # Packets of pieces are old when they come, and to skip them would leave gaps.
        self.in_pieces = self.live and self.format in IN_PIECES
        self.newest_only = self.live and not self.in_pieces
        self.holds_back = self.newest_only
        self.intra = decoder.intra
        self.rate = decoder.rate
        self.expected = None if self.live else decoder.frame_count
        self._first: float | None = None  # s, the stamps of the first picture and of the newest
        self._reached: float | None = None
        self._size = container.size
        self._behind = 0  # bytes that come behind the last picture, once that is known

    def packets(self) -> Generator[Packet]:
        """Yield packets as they arrive."""
        decoder = self._decoder
        newest_ns = 0
        try:
            for packet in whole_pictures(decoder.packets(), decoder.codec):
                # Without times or lengths, a picture is whole when the next begins: it came when the one before it did.
                begun_ns, newest_ns = newest_ns, time.monotonic_ns()
                yield Packet(
                    packet,
                    begun_ns or newest_ns if self._arrival_times else newest_ns,
                    stamp=None if self._arrival_times else stamp_of(packet),
                    wall_ns=wall_time_of(packet),
                    key=packet.is_keyframe or self.intra,
                    size=packet.size,
                )
            if not self.live and self._size > 0 and decoder.newest_at:
                self._behind = self._size - decoder.newest_at
        except (av.FFmpegError, OSError) as error:
            if isinstance(error, av.error.ExitError):
                raise SourceError(f"nothing came within {self._timeout:g} s") from error
            unread = without_ranges(error, self._address) if self._first is None and not self.live else None
            raise SourceError("; ".join(unread) if unread else dropped(error)) from error

    def decode(self, packet: Packet, *, hurry: bool) -> Iterator[Decoded]:
        """Yield the pictures that come out."""
        decoder = self._decoder
        if packet.after_gap:
            decoder.begin_anew()
        for frame in decoder.decode(packet.data, hurry=hurry):
            stamp = None if self._arrival_times else decoder.time_of(frame)
            if stamp is not None:
                self._first = stamp if self._first is None else self._first
                self._reached = stamp
            yield Decoded(
                stamp,
                partial(self._pixels.picture_or_reason, frame, decoder.pixel_aspect),
                frame.key_frame or self.intra,
            )

    def missing(self) -> str | None:
        """Return what is missing of a file, compared to what its header promises."""
        if self._first is None or self._reached is None:
            return None
        rate = self._decoder.rate
        return self._decoder.missing(self._reached - self._first + (1 / rate if rate else 0.0))

    def close(self) -> None:
        """Hang up."""
        self.opened.close()

    def choices(self) -> tuple[Choice, ...]:
        """Return the decoder, and what was damaged in this connection."""
        decoder = Choice("decoder", self._decoder.description, "the stream's codec")
        told = [decoder, self._decoder.track, self._left_out(), self._decoder.damage()]
        if self._fetched:
            found = f"{self._fetched:,} bytes into a temporary file"
            told.append(Choice("fetched", found, "its index is at its end, and it comes from its beginning alone"))
        return tuple(choice for choice in told if choice is not None)

    def _left_out(self) -> Choice | None:
        """Return that much comes behind the last picture; only of a file on the disk is another video there read."""
        if self._behind < max(_LEAST_BEHIND, 0.1 * self._size):
            return None
        found = f"{self._behind:,} bytes of the file come behind its last picture, and were not read"
        return Choice("rest of the file", found, "if that is another video, copy the file here first", fallback=True)


def _piece_seconds(head: bytes) -> float:
    """Return how much of a stream comes at once, s, by the beginning of its playlist; 0 for what is no playlist."""
    target = re.search(rb"#EXT-X-TARGETDURATION:\s*([0-9]{1,4})", head)
    if target:
        return min(float(target.group(1)), _LONGEST_PIECE)
    return _PIECE if b"#EXTM3U" in head or b"<MPD" in head else 0.0


def _has_end(container: InputContainer) -> bool:
    """Return whether an address of the web leads to a file, of known length, rather than to a stream."""
    if container.duration:
        return True
    # The length of a playlist says nothing of the stream, and some cameras claim one.
    return container.format.name not in (*IN_PIECES, "mpjpeg") and container.size > 0
