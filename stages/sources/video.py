"""The video source reads a video file, or anything else on the disk that FFmpeg decodes.

Every frame is given, in order, at the time the file says. Damage is passed over: what can be decoded is given, and
at the end BrokenSourceError says how much could not. A file that cannot be read at all fails in `open`.
"""

import logging
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import av

from hamba_core.errors import BrokenSourceError, NoPicturesError, SourceError
from hamba_core.text import counted
from stages.contract import Source
from stages.packets import Choice, Frame, Image, SourceInfo
from stages.sources.decoding import (
    NoVideoError,
    PixelConverter,
    VideoDecoder,
    VideoFile,
    can_seek,
    frames_from,
    reason_of,
)
from stages.sources.file_ends import cut_off
from stages.sources.foreign import text_kind
from stages.sources.headers import gif_pixels, gif_size
from stages.sources.lens.framing import FrameMaker
from stages.sources.lens.lens_guess import guess_of_tags
from stages.sources.part import frames_within, part_choice
from stages.sources.paths import readable_file
from stages.sources.settings import SourceSettings
from stages.sources.timestamps import CLOSE, Timeline

logger = logging.getLogger(__name__)


class VideoSource(Source):
    """Frames of a video file, as fast as they are read. `SourceInfo.live` is false.

    `source.start` and `source.end` leave out what is before and after; frames count from 0, times are the file's.
    """

    name = "source"

    def __init__(self, text: str, settings: SourceSettings, stream: str) -> None:
        self._text = text
        self._settings = settings
        self._maker = FrameMaker(stream, settings)
        self._pixels = PixelConverter(settings.decoding.max_side)
        self._file: VideoFile | None = None
        self._decoder: VideoDecoder | None = None
        self._decoded: Generator[av.VideoFrame] | None = None
        self._first: tuple[Image, float] | None = None
        self._timeline = Timeline()
        self._tick = self._step = 0.0  # s, of a unit of time stamps and of a picture at the nominal rate
        self._stamp: float | None = None  # s on the file's own clock, of the newest picture
        self._reached = self._began = 0.0  # s, the end of the newest picture, and the beginning of its video
        self._videos: list[str] = []  # those that were begun
        self._damages: list[Choice] = []  # of those that were read
        self._missing: list[str] = []
        part = (settings.start, settings.end)
        self._part = None if part == (None, None) else part_choice(*part)

    def open(self) -> SourceInfo:
        """Open the file and decode its first picture. Raises SourceError; NoPicturesError if no picture is wanted."""
        path = readable_file(self._text)
        self._check_head(path)
        decoder = self._decoder = self._opened(path)
        self._maker.assume(guess_of_tags({**decoder.container.metadata, **decoder.stream.metadata}))
        self._timeline = Timeline(decoder.rate)
        self._tick = decoder.tick
        self._step = 1 / decoder.rate if decoder.rate else 0.0
        self._decoded = self._all(decoder.frames())
        try:
            codec = decoder.stream.codec_context
            if codec.width and codec.height:
                self._pixels.check_size(codec.width, codec.height)
            first = next(self._decoded, None)
            if first is None:
                found = f"{decoder.codec} data without a single picture that can be decoded: damaged, or cut off"
                raise SourceError(_unreadable(path, found))
            first, pts = self._from_start(path, first)
            image = self._pixels.picture(first, decoder.pixel_aspect)
        except SourceError as error:
            raise type(error)(f"{self._text}: {error}") from error
        except av.FFmpegError as error:
            raise SourceError(f"{self._text}: {_unreadable(path, reason_of(error))}") from error
        self._first = image, pts
        height, width = image.shape[:2]
        info = SourceInfo(
            name=self._text,
            kind="file",
            live=False,
            width=width,
            height=height,
            fps=decoder.rate,
            frames=decoder.frame_count if self._file is not None and self._file.is_one else None,
            camera=self._maker.camera_of(image),
        )
        if self._part is None:
            return info
        return replace(info, frames=frames_within(info, self._settings.start, self._settings.end))

    def _opened(self, path: Path) -> VideoDecoder:
        if self._file is not None:
            self._file.close()
        self._file = VideoFile(path, self._settings)
        try:
            return self._file.first()
        except NoVideoError as error:
            raise SourceError(f"{self._text}: {_unreadable(path, str(error))}") from error
        except SourceError as error:
            raise SourceError(f"{self._text}: {error}") from error
        except (av.FFmpegError, OSError, UnicodeError, ValueError) as error:
            raise SourceError(f"{self._text}: {_unreadable(path, reason_of(error))}") from error

    def _all(self, frames: Iterator[av.VideoFrame]) -> Generator[av.VideoFrame]:
        """Yield the frames of the video that is open, and of those that follow it in the file."""
        before, decoder = None, self._decoder
        while decoder is not None and self._file is not None:
            first = next(frames, None)
            if first is not None:
                if before is not None:
                    self._begin_next(before, decoder, first)
                yield first
                yield from frames
            before, decoder = decoder, self._file.following(gave_pictures=first is not None)
            if decoder is not None:
                frames = decoder.frames()

    def _begin_next(self, before: VideoDecoder, decoder: VideoDecoder, first: av.VideoFrame) -> None:
        """Take leave of a video, and go on with the one behind it. A clock that goes on keeps its distances."""
        before.is_followed()
        missing, damage = before.missing(self._reached - self._began), before.damage()
        self._missing += [missing] if missing is not None else []
        self._damages += [damage] if damage is not None else []
        stamp = decoder.time_of(first)
        if self._stamp is None or stamp is None or stamp <= self._stamp:
            self._timeline.restart(self._reached)
        self._decoder, self._began, self._tick = decoder, self._reached, decoder.tick
        self._step = 1 / decoder.rate if decoder.rate else 0.0
        self._videos = self._videos or [f"{before.codec}"]
        self._videos.append(f"{decoder.codec} {first.width}x{first.height} from {self._reached:.2f} s on")
        logger.info("%s: another video follows in it: %s", self._text, self._videos[-1])

    def _from_start(self, path: Path, first: av.VideoFrame) -> tuple[av.VideoFrame, float]:
        """Return the first picture from `source.start` on, and when it is shown; `first` is the file's first."""
        start, pts = self._settings.start or 0.0, self._place(first)
        decoder = self._decoder
        if pts >= start - CLOSE or decoder is None or self._decoded is None:
            return first, pts
        if first.time is not None and can_seek(decoder):
            sought = frames_from(decoder, first.time - pts + start)
            if sought is None:  # from its beginning once more
                decoder = self._decoder = self._opened(path)
                sought = decoder.frames()
            self._decoded = self._all(frame for frame in sought if frame.time != first.time)
        for frame in self._decoded:
            pts = self._place(frame)
            if pts >= start - CLOSE:
                break
        end = self._settings.end
        if pts < start - CLOSE or (end is not None and pts >= end - CLOSE):
            until = "" if end is None else f" up to {end:g} s"
            raise NoPicturesError(
                f"expected pictures from {start:g} s on{until} (source.start, source.end), found none there; the last "
                f"one looked at is at {pts:.2f} s"
            )
        decoder.lost = decoder.concealed = 0  # what was damaged before is not of this part
        return frame, pts

    def frames(self) -> Iterator[Frame]:
        """Yield every frame. Raises BrokenSourceError at the end if some were missing."""
        if self._decoder is None or self._decoded is None or self._first is None:
            raise SourceError(f"{self._text}: expected an open source, found it closed; call open first")
        image, pts = self._first
        self._first = None
        yield self._maker.frame(image, pts, time.monotonic_ns())
        del image
        end, ended = self._settings.end, False
        while True:
            try:
                frame = next(self._decoded, None)
                if frame is None:
                    break
                captured_ns = time.monotonic_ns()
                pts = self._place(frame)
                ended = end is not None and pts >= end - CLOSE
                if ended:
                    break
                image = self._pixels.picture(frame, self._decoder.pixel_aspect)
            except (av.FFmpegError, SourceError) as error:
                reason = str(error) if isinstance(error, SourceError) else reason_of(error)
                raise self._broken(f"it cannot be read any further: {reason}") from error
            yield self._maker.frame(image, pts, captured_ns)
        missing = self._decoder.missing(self._reached - self._began, ended=ended)
        if missing is None and not (ended or self._videos):
            missing = cut_off(readable_file(self._text))
        if missing is not None or self._missing:
            raise self._broken("; ".join((*self._missing, *([missing] if missing is not None else []))))

    def close(self) -> None:
        """Close the file."""
        self._first = None
        if self._decoded is not None:
            self._decoded.close()
        if self._file is not None:
            self._file.close()
        self._decoded = None

    def choices(self) -> tuple[Choice, ...]:
        """Return the choices of decoder and camera, and what was mended in the file."""
        decoder = self._decoder
        if decoder is None:
            return ()
        chosen = [Choice("decoder", decoder.description, "the file's codec"), self._maker.choice()]
        if self._part is not None:
            chosen.append(self._part)
        if decoder.track is not None:
            chosen.append(decoder.track)
        if self._videos:
            found = f"{len(self._videos)}, one after another: {', '.join(self._videos)}"
            chosen.append(Choice("videos", found, "what the file holds changes there"))
        resized, damage = self._maker.resized(), decoder.damage()
        chosen += [resized] if resized is not None else []
        chosen += [*self._damages, *([damage] if damage is not None else [])]
        if self._timeline.repaired or self._timeline.filled:
            chosen.append(
                Choice(
                    "time stamps",
                    f"{self._timeline.repaired} repaired, {self._timeline.filled} filled in from the rate",
                    "the file's own do not rise, or are missing",
                    fallback=self._timeline.repaired > 0,
                )
            )
        return tuple(chosen)

    def _place(self, frame: av.VideoFrame) -> float:
        self._stamp = self._decoder.time_of(frame) if self._decoder else frame.time
        pts = self._timeline.place(self._stamp)
        self._reached = pts + max(frame.duration * self._tick, self._step)
        return pts

    def _check_head(self, path: Path) -> None:
        """Refuse a file that FFmpeg would take for a video of another kind or size than it is."""
        size = gif_size(_head(path))
        if size is None:
            return
        try:
            self._pixels.check_size(*size)
        except SourceError as error:
            raise SourceError(f"{self._text}: {error}") from error
        pixels, most = gif_pixels(_head(path, 1 << 28)), self._settings.decoding.max_gif_pixels
        if pixels > most:
            raise SourceError(
                f"{self._text}: expected a GIF of at most {most:.1e} pixels in all its pictures, found {pixels:.1e}; "
                "make a video of it, or raise the limit: --set source.decoding.max_gif_pixels=N"
            )

    def _broken(self, what: str) -> BrokenSourceError:
        return BrokenSourceError(
            f"{self._text}: expected a whole video, found that {what}; {counted(self._maker.given, 'frame')}, up to "
            f"{self._reached:.2f} s, were read. Copy or record it again if there is a better one"
        )


def _unreadable(path: Path, found: str) -> str:
    """Return why FFmpeg finds no video in a file: from its first bytes if they tell, else what `found` says."""
    head = _head(path)
    text = text_kind(head, path.name)
    if text is not None:
        return f"expected a video or a picture, found {text}"
    if head and not head.strip(b"\0"):
        return "expected a video or a picture, found zeros; copy it again"
    if head[4:8] == b"ftyp":
        return (
            "expected a whole MP4 or MOV file, found one without a readable index (moov): the recording was not "
            f"finished, the copy was cut off, or it is damaged ({found})"
        )
    return f"expected a video or a picture that FFmpeg decodes, found {found}"


def _head(path: Path, size: int = 4096) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError:  # it vanished; what reads it next says so
        return b""
