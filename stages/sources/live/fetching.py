"""A file whose index stands at its end, at an address that gives it only from its beginning, is fetched whole first.

MP4, MOV and their like are written so by cameras and telephones, and some servers send files in pieces without saying
how long they are (chunked transfer), or know no ranges: FFmpeg then never comes to the index.
"""

import logging
import tempfile
from collections.abc import Callable
from typing import IO, Final

from hamba_core.errors import SourceError
from stages.sources.live.multipart_stream import Bytes
from stages.sources.settings import SourceSettings

logger = logging.getLogger(__name__)

_BEFORE: Final = frozenset((b"ftyp", b"free", b"skip", b"wide", b"uuid", b"pnot", b"pdin"))
"""Boxes that may stand before the pictures, or the index."""
_PIECE: Final = 1 << 20  # bytes
INSTEAD: Final = (
    "copy the file here, use a server that knows ranges, or put its index in front: "
    "ffmpeg -i FILE -c copy -movflags +faststart NEW.mp4"
)


def has_index_at_end(head: bytes) -> bool:
    """Return whether bytes begin a MP4, MOV or the like whose pictures come before their index (moov)."""
    at = 0
    while at + 8 <= len(head):
        size, kind = int.from_bytes(head[at : at + 4], "big"), head[at + 4 : at + 8]
        if kind == b"mdat":
            return True
        if kind not in _BEFORE or size < 8:
            return False
        at += size
    return False


def fetched(found: Bytes, shown: str, settings: SourceSettings, heard: Callable[[], bool]) -> IO[bytes]:
    """Return a temporary file with all that comes, at its beginning; it is gone when it is closed.

    `heard` is called as it comes, and returns whether to go on. Raises SourceError if there is too much, or no room.
    """
    most = settings.live.max_fetch
    if found.size > most:
        raise _too_long(shown, f"one of {found.size:,} bytes", most)
    logger.info("%s: its index is at its end, and it comes from its beginning alone: it is fetched whole first", shown)
    file = tempfile.TemporaryFile(prefix="hamba-")  # noqa: SIM115 - the caller's, to close
    try:
        count = 0
        while data := found.read(_PIECE):
            count += len(data)
            if count > most:
                raise _too_long(shown, f"more than {most:,} bytes", most)
            file.write(data)
            if not heard():
                raise SourceError(f"{shown}: expected to fetch it whole, found that the run is to end")
        file.seek(0)
    except OSError as error:
        file.close()
        raise SourceError(
            f"{shown}: expected room for a copy of it in {tempfile.gettempdir()} (TMPDIR), since its index is at its "
            f"end, found: {(error.strerror or str(error)).lower()}; {INSTEAD}"
        ) from error
    except BaseException:
        file.close()
        raise
    return file


def _too_long(shown: str, found: str, most: int) -> SourceError:
    return SourceError(
        f"{shown}: expected at most {most:,} bytes of a file whose index (moov) is at its end, since it has to be "
        f"fetched whole, found {found}; {INSTEAD}, or raise the limit: --set source.live.max_fetch=N"
    )
