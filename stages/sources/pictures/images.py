"""Image files are a source: one picture, or the files of a folder or a glob, in natural order."""

import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from hamba_core.errors import BrokenSourceError, SourceError
from stages.contract import Source
from stages.packets import Choice, Frame, Image, SourceInfo
from stages.sources.decoding import PixelConverter
from stages.sources.headers import HEAD_BYTES, StillHeader, still_kind, without_packed_texts
from stages.sources.lens.framing import FrameMaker
from stages.sources.paths import readable_file
from stages.sources.pictures.picture_runs import picture_count
from stages.sources.pictures.still_decoding import decoded
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

_MAX_BYTES = 512 * 2**20
_NAMED_AT_MOST = 3


def is_still(path: Path) -> bool:
    """Return whether a file begins as a still picture does, whatever its name."""
    with path.open("rb") as file:
        return still_kind(file.read(HEAD_BYTES)) is not None


_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)")
_SEQUENCE = 10
"""So many pictures with consecutive numbers are taken for the frames of one scene."""


class ImagesSource(Source):
    """Frames of image files, `source.pictures.rate` a second. `SourceInfo.live` is false.

    A picture that cannot be read is passed over if there are others; at the end BrokenSourceError names it. The frame
    times keep its place.
    """

    name = "source"

    def __init__(
        self, text: str, paths: Sequence[Path], settings: SourceSettings, stream: str, *, listed: bool = False
    ) -> None:
        """`listed` says that somebody gave the paths in this order."""
        kind = settings.pictures.kind
        self.stills = kind == "stills" or (kind == "auto" and not _is_numbered(paths))
        self._text = text
        # Frames of a scene are ordered by their numbers, single pictures as shells and `sorted` order them.
        self._paths = sorted(paths, key=str) if self.stills and not listed else paths
        self._names = _names(self._paths)
        self._settings = settings
        self._maker = FrameMaker(stream, settings)
        self._pixels = PixelConverter(settings.decoding.max_side)
        self._unread: list[str] = []
        self._first: tuple[int, Image, float | None] | None = None
        self._readers: set[str] = set()
        self._kinds: dict[str, int] = {}

    def open(self) -> SourceInfo:
        """Decode the first picture that can be. Raises SourceError where none can."""
        for position in range(len(self._paths)):
            read = self._read(position)
            if read is not None:
                self._first = (position, *read)
                break
        if self._first is None:
            more = f" (and {len(self._unread) - 1} more like it)" if len(self._unread) > 1 else ""
            raise SourceError(f"{self._unread[0]}{more}")
        image, focal = self._first[1:]
        return SourceInfo(
            name=self._text,
            kind="image" if len(self._paths) == 1 else "images",
            live=False,
            width=image.shape[1],
            height=image.shape[0],
            fps=None if self.stills else self._settings.pictures.rate,
            frames=len(self._paths),
            camera=self._maker.camera_of(image, focal),
            stills=self.stills,
        )

    def frames(self) -> Iterator[Frame]:
        """Yield a frame for each picture. Raises BrokenSourceError at the end if some could not be read."""
        if self._first is None:
            raise SourceError(f"{self._text}: expected an open source, found it closed; call open first")
        first, image, focal = self._first
        self._first = None
        rate = self._settings.pictures.rate
        yield self._maker.frame(image, first / rate, time.monotonic_ns(), focal, self._names[first])
        del image
        for position in range(first + 1, len(self._paths)):
            captured_ns = time.monotonic_ns()
            read = self._read(position)
            if read is not None:
                yield self._maker.frame(read[0], position / rate, captured_ns, read[1], self._names[position])
        if self._unread:
            named = "; ".join(self._unread[:_NAMED_AT_MOST])
            more = f"; and {len(self._unread) - _NAMED_AT_MOST} more" if len(self._unread) > _NAMED_AT_MOST else ""
            raise BrokenSourceError(
                f"{self._text}: expected {len(self._paths)} pictures, found {len(self._unread)} that cannot be read: "
                f"{named}{more}. The other {self._maker.given} are kept"
            )

    def close(self) -> None:
        """Do nothing: no file stays open between pictures."""
        self._first = None

    def choices(self) -> tuple[Choice, ...]:
        """Return the choices of decoder and camera."""
        if not self._kinds:
            return ()
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self._kinds.items()))
        return (Choice("decoder", " and ".join(sorted(self._readers)), f"pictures read: {kinds}"), self._maker.choice())

    def _read(self, position: int) -> tuple[Image, float | None] | None:
        """Return a picture and its focal length; None, noted in `_unread`, if it cannot be read."""
        path = self._paths[position]
        try:
            image, header = self._decode(readable_file(str(path)))
        except (SourceError, OSError) as error:
            message = str(error) if str(path) in str(error) else f"{path}: {error}"
            self._unread.append(message)
            if len(self._paths) > 1:
                logger.warning("passed over: %s", message)
            return None
        kind = header.kind if header else path.suffix.lower().removeprefix(".")
        self._readers.add(header.reader if header else "FFmpeg software")
        self._kinds[kind] = self._kinds.get(kind, 0) + 1
        return image, header.focal_35mm if header else None

    def _decode(self, path: Path) -> tuple[Image, StillHeader | None]:
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(f"expected a picture file of at most {_MAX_BYTES // 2**20} MiB, found a larger one")
        data = without_packed_texts(path.read_bytes())
        kind = still_kind(data[:HEAD_BYTES])
        if len(self._paths) > 1 and kind is not None and (count := picture_count(kind, data)) > 1:
            logger.warning("%s holds %d pictures; here only its first is read: give it alone for all", path, count)
        return decoded(data, self._pixels, self._settings, str(path.resolve()))


def _names(paths: Sequence[Path]) -> list[str]:
    """Return what each file is called, with the folders in which they differ if some are called the same."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    above = os.path.commonpath([path.parent for path in paths])
    return [os.path.relpath(path, above) for path in paths]


def _is_numbered(paths: Sequence[Path]) -> bool:
    """Return whether names differ only by a last number that rises by one: frames of a scene, not single pictures."""
    names = [_LAST_NUMBER.fullmatch(path.name) for path in paths]
    if len(paths) < _SEQUENCE or not all(names):
        return False
    parts = [name.groups() for name in names if name]
    numbers = [int(number) for _, number, _ in parts]
    same_name = len({(before, after) for before, _, after in parts}) == 1
    return same_name and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
