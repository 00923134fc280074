"""A picture file is one file that holds several pictures.

They stand one after another, or are parts of a saved multipart stream, the pages of a TIFF, or the frames of an
animated PNG, WebP or AVIF.
"""

import logging
import mmap
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from hamba_core.errors import BrokenSourceError, SourceError
from stages.contract import Source
from stages.packets import Choice, Frame, Image, SourceInfo
from stages.sources.decoding import PixelConverter
from stages.sources.headers import HEAD_BYTES, still_kind
from stages.sources.lens.framing import FrameMaker
from stages.sources.pictures.multipart import Parts, begins_multipart
from stages.sources.pictures.picture_runs import is_run, picture_count, pictures_in
from stages.sources.pictures.pillow_pages import WITH_PAGES, page_count, pages
from stages.sources.pictures.still_decoding import decoded
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

_CHUNK = 2**20
_HEAD = 64 * 1024
_SCENE = 10
"""So many pages of a TIFF are taken for the frames of one scene."""


def form_of(path: Path) -> str | None:
    """Return in which form a file holds several pictures; None if it does not. Raises SourceError for too many."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        if begins_multipart(head):
            return "multipart"
        kind = still_kind(head[:HEAD_BYTES])
        if kind is None:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if is_run(data):
                return "run"
        if kind not in WITH_PAGES:
            return None
        try:
            return "pages" if page_count(kind, path.read_bytes()) > 1 else None
        except SourceError as error:
            raise SourceError(f"{path}: {error}") from error


def _has_few_pages(path: Path) -> bool:
    """Return whether a file is a TIFF of too few pages to be a scene."""
    data = path.read_bytes()
    return still_kind(data[:HEAD_BYTES]) == "TIFF" and page_count("TIFF", data) < _SCENE


@dataclass(frozen=True, eq=False)
class _Shown:
    image: Image
    seconds: float | None


class PictureFileSource(Source):
    """Frames of a file of pictures, `source.pictures.rate` a second, or as long as an animation shows each.

    One that cannot be read is passed over; at the end BrokenSourceError tells how many. The frame times keep its place.
    `SourceInfo.live` is false.
    """

    name = "source"

    def __init__(self, text: str, path: Path, form: str, settings: SourceSettings, stream: str) -> None:
        """`form` is what `form_of` says."""
        self._text = text
        self._path = path
        self._form = form
        self._settings = settings
        self._maker = FrameMaker(stream, settings)
        self._pixels = PixelConverter(settings.decoding.max_side)
        self._kind = "pictures"
        self._reader = "FFmpeg software"
        kind = settings.pictures.kind
        self.stills = kind == "stills" or (kind == "auto" and form == "pages" and _has_few_pages(path))
        self._unread = 0
        self._why = ""
        self._shown: Generator[_Shown | None] | None = None
        self._first: tuple[Image, float] | None = None
        self._time = 0.0

    def open(self) -> SourceInfo:
        """Decode the first picture that can be. Raises SourceError where none can."""
        self._shown = self._pictures()
        self._first = self._next()
        if self._first is None:
            raise SourceError(f"{self._text}: {self._why or 'expected pictures, found none'}")
        image = self._first[0]
        count = None if self._form == "multipart" else self._count()
        return SourceInfo(
            name=self._text,
            kind="images",
            live=False,
            width=image.shape[1],
            height=image.shape[0],
            fps=None if self.stills else self._settings.pictures.rate,
            frames=count,
            camera=self._maker.camera_of(image),
            stills=self.stills,
        )

    def frames(self) -> Iterator[Frame]:
        """Yield a frame for each picture. Raises BrokenSourceError at the end if some could not be read."""
        if self._first is None:
            raise SourceError(f"{self._text}: expected an open source, found it closed; call open first")
        following: tuple[Image, float] | None = self._first
        self._first = None
        while following is not None:
            yield self._maker.frame(following[0], following[1], time.monotonic_ns())
            following = self._next()
        if self._unread:
            raise BrokenSourceError(
                f"{self._text}: expected whole pictures, found {self._unread} that cannot be read: {self._why}. "
                f"The other {self._maker.given} are kept"
            )

    def close(self) -> None:
        """Close the file."""
        self._first = None
        if self._shown is not None:
            self._shown.close()
        self._shown = None

    def choices(self) -> tuple[Choice, ...]:
        """Return the choices of decoder and camera."""
        forms = {"multipart": "parts of a saved stream", "run": "one after another", "pages": "pages of one file"}
        return (
            Choice("decoder", self._reader, f"pictures read: {self._kind}, {forms[self._form]}"),
            self._maker.choice(),
        )

    def _next(self) -> tuple[Image, float] | None:
        """Return the next picture that can be read and its time; None at the end."""
        for shown in self._shown or ():
            at = self._time
            seconds = shown.seconds if shown is not None else None
            self._time += 1 / self._settings.pictures.rate if seconds is None else seconds
            if shown is not None:
                return shown.image, at
        return None

    def _count(self) -> int:
        with self._path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return picture_count(self._kind, data)

    def _pictures(self) -> Generator[_Shown | None]:
        """Yield what each picture shows, or None if it cannot be read."""
        for piece in self._pieces():
            try:
                yield from self._shown_by(piece)
            except SourceError as error:  # pages that follow a broken one hang on it
                if self._form == "pages" and self._first is None and not self._maker.given:  # `open` says why
                    self._why = str(error)
                    return
                self._passed_over(error)
                yield None

    def _shown_by(self, piece: bytes) -> Generator[_Shown]:
        """Yield what the pages of a picture show, or the one that it is. Raises SourceError."""
        kind = still_kind(piece[:HEAD_BYTES])
        self._kind = kind or self._kind
        count = page_count(kind, piece) if kind is not None else 1
        if count < 2 or kind is None:
            image, header = decoded(piece, self._pixels, self._settings)
            self._reader = header.reader if header is not None else self._reader
            yield _Shown(image, None)
            return
        self._reader = "Pillow"
        most = self._settings.decoding.max_gif_pixels
        for page in pages(kind, piece, self._pixels.check_size):
            if (pixels := count * page.image.shape[0] * page.image.shape[1]) > most:
                raise SourceError(
                    f"expected at most {most:.1e} pixels in all pictures of a file, found {pixels:.1e}; "
                    "make a video of it, or raise the limit: --set source.decoding.max_gif_pixels=N"
                )
            yield _Shown(page.image, page.seconds)

    def _pieces(self) -> Generator[bytes]:
        if self._form == "pages":
            yield self._path.read_bytes()
            return
        with self._path.open("rb") as file:
            if self._form == "run":
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    for start, end in pictures_in(data):
                        yield data[start:end]
                return
            parts = Parts()
            while chunk := file.read(_CHUNK):
                yield from parts.feed(chunk)
            rest = parts.rest()
            if rest is not None:
                yield rest

    def _passed_over(self, error: SourceError) -> None:
        self._unread += 1
        self._why = self._why or str(error)
        logger.warning("%s: picture %d passed over: %s", self._text, self._maker.given + self._unread, error)
