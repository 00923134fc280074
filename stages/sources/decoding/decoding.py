"""This module opens a container with FFmpeg and decodes its video, past what is damaged in it."""

import errno
import logging
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from typing import Any, Protocol

import av
from av.codec.context import Flags as CodecFlags
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from hamba_core.errors import SourceError
from hamba_core.text import counted
from stages.common.processors import processors
from stages.packets import Choice
from stages.sources.decoding.demuxers import formats_of_address, formats_of_file
from stages.sources.decoding.gaps import IN_PIECES, PIECE, Gaps
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

_MAX_DEMUX_ERRORS = 16  # in a row, after which a file is taken to be over; a stream is at the first
_MAX_UNDECODED = 2000  # packets before the first picture: a minute of a stream joined between key frames
_MAX_UNDECODED_LIVE = 300  # packets in a row: ten seconds; opening a stream again may mend what waiting does not
_MISSING_SECONDS = 1.0
_MISSING_SHARE = 0.05
"""A video that ends by more than both before the time its header promises has been cut off."""
_DECODING_TIMES_ALONE = frozenset(("avi",))
_WITHOUT_MARKS = frozenset(("yuv4mpegpipe",))  # behind damage, nothing tells where a picture begins
_BESIDE = frozenset(("mpeg",))  # formats in which a video may be followed by another without a header of its own
_STARTS_COUNT = frozenset(("matroska,webm",))  # what they call duration is the end, counted from 0
_DEFAULT_BONUS = 5_000_000  # px that being marked as the default is worth, as for the ffmpeg program
_TEXT_FORMATS = frozenset(("tty",))  # FFmpeg draws text files as videos of a terminal


class NoVideoError(SourceError):
    """A container in which FFmpeg finds nothing at all."""


class VideoDecoder:
    """The video stream of an open container: its pictures in order, and counts of what was damaged.

    A packet that cannot be decoded is skipped and counted in `lost`; a picture whose damage the decoder covered up is
    given, and counted in `concealed`. Packets before the first picture are not counted: a recording may begin between
    two key frames. `cut` is true once the container has ended within a packet.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, live: bool = False) -> None:
        self.container = container
        self.stream = stream
        self._live = live
        self._undecoded = 0  # packets in a row
        self._decoded = False
        at_once = live or container.format.name in _WITHOUT_MARKS
        self._demux_errors = 0 if at_once else _MAX_DEMUX_ERRORS
        # Read now: once the container is closed, PyAV's stream reads memory that was freed.
        self.rate = _rate(stream)
        """Nominal pictures a second; none where unknown."""
        self.duration = _duration(container, stream)
        """Seconds of video that the container's header promises; none where it does not say."""
        self._counts_from: float | None = (
            None  # s, where `duration` is counted from that and not from the first picture
        )
        if container.format.name in _STARTS_COUNT and "_STATISTICS_TAGS" not in stream.metadata:
            self._counts_from = float((stream.start_time or 0) * (stream.time_base or 0))
        self._context = stream.codec_context
        self._hurry = False
        self.intra: bool = stream.codec_context.codec.intra_only
        """Whether every picture is coded by itself."""
        self.tick = float(stream.time_base or 0)
        """Seconds of a unit of its time stamps."""
        self.pixel_aspect = stream.sample_aspect_ratio
        """Width of a pixel over its height; none where unknown."""
        self.codec = stream.codec_context.name
        self.description = f"{self.codec}, FFmpeg software, {counted(stream.codec_context.thread_count, 'thread')}"
        self.frame_count = _frame_count(stream, self.duration, self.rate)
        """The number of pictures that is to be expected; none where unknown."""
        self.lost = 0
        self.concealed = 0
        self.cut = False
        self.identifier: int = stream.id
        """The number of the stream in its container's own terms."""
        self.newest_at = 0
        """Bytes from the beginning of the container, where the packet begins that lies furthest in it."""
        self.beside: frozenset[int] = frozenset()
        """Identifiers of other videos between its packets; known for MPEG program streams alone."""
        self.track: Choice | None = None
        """Which of several video streams this is; none where there is one."""
        self._gaps = Gaps(self.rate) if container.format.name in IN_PIECES else None
        self._even = stream.average_rate == stream.guessed_rate  # pictures come at a constant rate, as far as is known
        self._short = 0.0  # s, that are less than promised
        self._no_presentation_times = container.format.name in _DECODING_TIMES_ALONE

    def time_of(self, frame: av.VideoFrame) -> float | None:
        """Return the time, s, at which the container shows a frame; None if it does not say.

        A container that only keeps the order of decoding, as AVI does, has no time for a frame out of that order: what
        FFmpeg calls its presentation time there belongs to another. Its frames come out at the times packets go in.
        """
        if self._no_presentation_times and frame.time_base:
            return None if frame.dts is None else float(frame.dts * frame.time_base)
        return frame.time

    def frames(self) -> Generator[av.VideoFrame]:
        """Yield decoded frames in order of presentation, until the container ends.

        Raises SourceError if the first of many packets cannot be decoded, or FFmpegError if a read fails for another
        reason than bad data.
        """
        for packet in self.packets():
            yield from self.decode(packet)

    def decode(self, packet: "av.Packet[VideoStream]", *, hurry: bool = False) -> list[av.VideoFrame]:
        """Return the frames that come out when this packet goes in; in a hurry, not those that no other depends on.

        Raises as `frames`.
        """
        if hurry != self._hurry:
            self._hurry = hurry
            self._context.skip_frame = "NONREF" if hurry else "DEFAULT"
        try:
            frames = self._context.decode(packet)
        except av.error.MemoryError:
            raise
        except av.error.EOFError:  # it was told of the end before
            return []
        except (av.FFmpegError, UnicodeError) as error:
            self._undecoded += 1
            if self._decoded:
                self.lost += 1
                logger.debug("packet at %s was not decoded: %s", packet.pts, error)
                if self._live and self._undecoded >= _MAX_UNDECODED_LIVE:
                    raise SourceError(
                        f"expected {self.codec} video, found that none of the last {self._undecoded} packets could be "
                        "decoded"
                    ) from error
            elif self._undecoded >= _MAX_UNDECODED:
                raise SourceError(
                    f"expected {self.codec} video, found nothing that can be decoded in the "
                    f"first {self._undecoded} packets"
                ) from error
            return []
        for frame in frames:
            if self._gaps is not None and (shown := self.time_of(frame)) is not None:
                self._gaps.picture(shown)
            self._decoded = True
            self._undecoded = 0
            self.concealed += frame.is_corrupt
        return frames

    def begin_anew(self) -> None:
        """Forget what was decoded: packets before the next one, with which decoding can begin, were left out."""
        if self._context.is_open:
            self._context.flush_buffers()

    def missing(self, reached: float, *, ended: bool = False) -> str | None:
        """Return what is missing of the video if it ended `reached` seconds after its start; None if it is whole.

        `ended` says that no more of it was wanted.
        """
        promised = self.duration or 0.0
        if not ended and (self.cut or promised - reached > max(_MISSING_SECONDS, _MISSING_SHARE * promised)):
            return f"it breaks off at {reached:.2f} s" + (
                f" of the {promised:.2f} s its header promises" if promised > reached else ""
            )
        if self._gaps is not None and self._gaps.count and self._even:
            return f"pieces of it are missing: {self._gaps}"
        if self.lost:
            return f"{counted(self.lost, 'packet')} in it could not be decoded"
        self._short = max(0.0, promised - reached)
        return None

    def is_followed(self) -> None:
        """Take note that the video was read to its end, since another follows in the same file."""
        self.duration, self.cut = None, False

    def damage(self) -> Choice | None:
        """Return what was passed over, for the report; None if nothing was."""
        if self._gaps is not None and (self._gaps.count or self._short > PIECE):
            found = str(self._gaps) if self._gaps.count else f"{self._short:.2f} s less than the playlist says"
            return Choice("damaged input", found, "a piece of it could not be had, it seems", fallback=True)
        if not (self.lost or self.concealed):
            return None
        return Choice(
            "damaged input",
            f"{counted(self.lost, 'packet')} not decoded, {counted(self.concealed, 'picture')} patched up",
            "the data is damaged there",
            fallback=True,
        )

    def _begin_at(self, packet: "av.Packet[VideoStream]") -> None:
        """Take what comes before the first packet out of what is promised.

        Where sound comes long before the first picture, FFmpeg has not come to that when it says when the video begins.
        """
        if self._counts_from is None or self.duration is None or packet.pts is None:
            return
        begins, self._counts_from = packet.pts * self.tick - self._counts_from, None
        if _MISSING_SECONDS < begins < self.duration:
            self.duration -= begins

    def packets(self) -> Iterator["av.Packet[VideoStream]"]:
        """Yield packets of the stream, then the empty one that makes the decoder give what it holds back."""
        failures = 0
        watched = self.container.streams.video if self.container.format.name in _BESIDE else (self.stream,)
        others: set[int] = set()  # videos of which something came since the newest packet
        while True:
            try:
                for packet in self.container.demux(watched):
                    failures = 0
                    if packet.stream is not self.stream:
                        others.add(packet.stream.id)
                        continue
                    if packet.size:
                        if packet.pos is not None:
                            self.newest_at = max(self.newest_at, packet.pos)
                            self.beside |= others
                        self.cut = bool(packet.is_corrupt)
                        self._begin_at(packet)
                    yield packet
                return
            except IndexError:
                # PyAV does this at the very end if the container gained a stream that PyAV has no object for.
                return
            except (av.error.InvalidDataError, av.error.ArgumentError):
                self.cut = True
                failures += 1
                if failures > self._demux_errors:
                    return


class Readable(Protocol):
    """Something that bytes can be read from, as from a file."""

    def read(self, size: int, /) -> Any:
        """Return at most so many bytes, none at the end."""


def open_container(
    url: "str | Readable",
    settings: SourceSettings,
    *,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    timeout: tuple[float, float] | None = None,
) -> InputContainer:
    """Open what FFmpeg calls a URL, or a file object; larger pictures than set are refused. Raises FFmpegError.

    It is only ever taken for media (`demuxers`), unless `format` says what it is.
    """
    limit = {"max_pixels": str(settings.decoding.max_side**2), "pattern_type": "none"}
    if format is None:
        is_file = not isinstance(url, str) or url.startswith("file:")
        limit["format_whitelist"] = formats_of_file(str(url)) if is_file else formats_of_address()
    return av.open(
        url, "r", format=format, options={**limit, **(options or {})}, timeout=timeout, metadata_errors="replace"
    )


def open_decoder(
    container: InputContainer,
    settings: SourceSettings,
    *,
    live: bool = False,
    like: int | None = None,
    without: Collection[int] = (),
) -> VideoDecoder:
    """Return a decoder for the container's video; a decoder for a live source holds no picture back.

    Of several videos the one is taken with the identifier `like`, where there is one and no track is set; none
    `without` which is wanted. Raises SourceError if there is no video that can be decoded.
    """
    if container.format.name in _TEXT_FORMATS:
        raise SourceError("expected a video, found text")
    videos = [stream for stream in container.streams.video if stream.id not in without]
    moving = [stream for stream in videos if not stream.disposition & Disposition.attached_pic]
    if not moving:
        if videos:
            raise SourceError("expected a video, found sound with a cover picture and no video")
        if container.streams.audio:
            raise SourceError("expected a video, found sound and no video")
        raise NoVideoError("expected a video, found none")
    if settings.track is None and any(stream.id == like for stream in moving):
        moving = [stream for stream in moving if stream.id == like]
    stream, track = _chosen(moving, settings.track)
    context: object = stream.codec_context
    if context is None:  # PyAV's stubs do not know that an unknown codec leaves it so
        raise SourceError("expected a video that FFmpeg can decode, found an unknown codec; re-encode it as H.264")
    stream.codec_context.options = {"max_pixels": str(settings.decoding.max_side**2)}
    stream.thread_type = "SLICE" if live else "AUTO"
    if live:
        stream.codec_context.flags |= CodecFlags.low_delay  # no picture is held back for those that may come
    stream.thread_count = settings.decoding.threads or min(8, max(1, processors() // 2))
    decoder = VideoDecoder(container, stream, live=live)
    decoder.track = track
    return decoder


def reason_of(error: Exception) -> str:
    """Return in plain words what went wrong, from an error of FFmpeg's or of the system's."""
    if isinstance(error, av.error.ExitError):
        return "nothing came in time"
    if isinstance(error, av.error.InvalidDataError):
        return "data that is damaged or of an unknown kind"
    if isinstance(error, av.error.HTTPError):
        return f"a server that refused: {error.strerror}"
    if getattr(error, "errno", None) == errno.EIO:
        return "an input/output error"
    return str(getattr(error, "strerror", None) or error).lower()


def _rate(stream: VideoStream) -> float | None:
    rates = (stream.average_rate, stream.guessed_rate)
    # Without time stamps there is no average rate.
    for rate in rates if stream.start_time is not None else reversed(rates):
        if rate and 0.01 <= rate <= 1000:
            return float(rate)
    return None


def _chosen(streams: Sequence[VideoStream], track: int | None) -> tuple[VideoStream, Choice | None]:
    """Return the wanted stream, else the one that the ffmpeg program takes, and how it was chosen among several."""
    if track is not None:
        if track >= len(streams):
            raise SourceError(
                f"expected a video with a track {track} (source.track), found {counted(len(streams), 'video track')}: "
                + _listed(streams)
            )
        stream, reason = streams[track], "source.track"
    else:
        stream = max(streams, key=_worth)  # the first of those that are worth the same
        reason = "the default or largest; set source.track for another"
    if len(streams) == 1:
        return stream, None
    chosen = Choice("video track", f"{streams.index(stream)} of {_listed(streams)}", reason)
    logger.info("it has %d video tracks (%s); taken: %s", len(streams), _listed(streams), chosen.chosen.split(" ")[0])
    return stream, chosen


def _worth(stream: VideoStream) -> int:
    context: object = stream.codec_context
    if context is None:  # of an unknown codec
        return -1
    default = bool(stream.disposition & Disposition.default)
    return stream.codec_context.width * stream.codec_context.height + default * _DEFAULT_BONUS


def _listed(streams: Sequence[VideoStream]) -> str:
    def described(stream: VideoStream) -> str:
        context: object = stream.codec_context
        if context is None:
            return "an unknown codec"
        return f"{stream.codec_context.name} {stream.codec_context.width}x{stream.codec_context.height}"

    return ", ".join(f"{number}: {described(stream)}" for number, stream in enumerate(streams))


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    begins = 0.0
    if container.format.name in _STARTS_COUNT and stream.start_time and stream.time_base:
        begins = float(stream.start_time * stream.time_base)
    tag = _tag_seconds(stream.metadata.get("DURATION", ""))
    if tag is not None:
        if "_STATISTICS_TAGS" in stream.metadata:  # mkvmerge means the track's own length
            return tag
        return tag - begins if tag > begins else tag
    if container.duration and len(container.streams) == 1:
        seconds = container.duration / av.time_base
        return seconds - begins if seconds > begins else seconds
    return None


def _frame_count(stream: VideoStream, duration: float | None, rate: float | None) -> int | None:
    counts = [stream.frames] if stream.frames else []
    if duration and rate:
        counts.append(round(duration * rate))
    return min(counts, default=None)  # a file that was trimmed still counts what it no longer shows


def _tag_seconds(text: str) -> float | None:
    """Return the seconds of a tag such as 00:00:03.000000000, as Matroska has it for each stream."""
    try:
        hours, minutes, seconds = text.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        return None
