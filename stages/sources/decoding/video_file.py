"""A video file, which may be several videos, one after another: each is opened when the one before is read."""

import os
from pathlib import Path

import av

from hamba_core.errors import SourceError
from stages.sources.decoding.decoding import Readable, VideoDecoder, open_container, open_decoder, reason_of
from stages.sources.decoding.spans import Span, next_alike, next_behind, next_video
from stages.sources.decoding.transport import TableWatch, transport_packets
from stages.sources.settings import SourceSettings

_HEAD_BYTES = 2048


class VideoFile:
    """The videos of a file. What FFmpeg and the system raise where it cannot be read is passed on."""

    def __init__(self, path: Path, settings: SourceSettings) -> None:
        self._path = path
        self._settings = settings
        self._begin = 0  # bytes
        self._prefix = 0
        self._span: Span | None = None
        self._decoder: VideoDecoder | None = None

    def first(self) -> VideoDecoder:
        """Open the first, from its beginning, and return its decoder."""
        return self._opened(0)

    def following(self, *, gave_pictures: bool) -> VideoDecoder | None:
        """Open the one behind the newest, which has been read to its end; None where there is none.

        `gave_pictures` says whether the newest did: what only has the name of a picture is not followed by another.
        Raises SourceError where there is one that cannot be read.
        """
        before, span = self._decoder, self._span
        if before is None:
            return None
        begin, prefix = span.next if span is not None else None, b""
        form = before.container.format.name
        if begin is None and not before.newest_at and (form.endswith("_pipe") or form == "image2"):  # a picture
            begin = next_alike(self._path, self._begin)
            if begin is None or (form == "image2" and not gave_pictures):
                return None
            if form == "image2":  # known by the name of its file alone
                raise SourceError(
                    f"another picture follows at byte {begin:,}, and only the first of this kind can be read in one "
                    "file; save them as files of their own"
                )
        if begin is None:
            found = next_behind(self._path, self._begin, self._begin + before.newest_at - self._prefix)
            if found is None:
                return None
            begin, prefix = found
        unsure = form == "mpeg"  # what comes may be the rest of the same video
        without = before.beside | {before.identifier} if unsure else frozenset()
        try:
            return self._opened(begin, prefix, like=before.identifier, without=without)
        except (av.FFmpegError, OSError, ValueError, SourceError) as error:
            if unsure:
                return None
            reason = str(error) if isinstance(error, SourceError) else reason_of(error)
            raise SourceError(f"of what follows from byte {begin:,} on: {reason}") from error

    @property
    def is_one(self) -> bool:
        """Return whether no video is known of behind the newest."""
        return self._span is None or self._span.next is None

    def close(self) -> None:
        """Close what is open."""
        if self._decoder is not None:
            self._decoder.container.close()
        if self._span is not None:
            self._span.close()
        self._decoder = self._span = None

    def _opened(
        self, begin: int, prefix: bytes = b"", *, like: int | None = None, without: frozenset[int] = frozenset()
    ) -> VideoDecoder:
        self.close()
        self._begin, self._prefix = begin, len(prefix)
        end = None if prefix else next_video(self._path, begin)
        packets = None if prefix else transport_packets(_bytes(self._path, begin))
        if packets is not None:
            return self._of_tables(TableWatch(*packets), begin, like)
        whole = not begin and end is None
        self._span = None if whole else Span(self._path, begin, end, prefix=prefix)
        return self._decoded(self._span or f"file:{self._path.resolve()}", like, without)

    def _of_tables(self, watch: TableWatch, begin: int, like: int | None) -> VideoDecoder:
        """Open a part of a transport stream, which ends where its tables no longer have the video that is read."""
        self._span = Span(self._path, begin, watch=watch)
        decoder = self._decoded(self._span, like)
        if watch.gone and decoder.identifier not in watch.gone:  # another video ends there
            self.close()
            watch = watch.anew(decoder.identifier)
            self._span = Span(self._path, begin, watch=watch)
            decoder = self._decoded(self._span, decoder.identifier)
        watch.identifier = decoder.identifier
        return decoder

    def _decoded(self, what: "str | Readable", like: int | None, without: frozenset[int] = frozenset()) -> VideoDecoder:
        container = open_container(what, self._settings)
        try:
            self._decoder = open_decoder(container, self._settings, like=like, without=without)
        except BaseException:
            container.close()
            self.close()
            raise
        return self._decoder


def _bytes(path: Path, begin: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), _HEAD_BYTES, begin)
