"""A run is pictures one after another in a file, as `rpicam-vid --codec mjpeg` or `ffmpeg -f image2pipe` write them."""

from collections.abc import Iterator
from mmap import mmap
from typing import Final

from stages.sources.headers import HEAD_BYTES, still_header, still_kind
from stages.sources.pictures.picture_ends import PictureEnd
from stages.sources.pictures.pillow_pages import WITH_PAGES, page_count

_PADDING: Final = 64  # bytes of nothing that may stand between two pictures


def pictures_in(data: mmap | bytes) -> Iterator[tuple[int, int]]:
    """Yield where each picture begins and ends; all data are one if no other frame follows the first."""
    start, end = 0, _end_of(data, 0)
    following = _next_start(data, end)
    if following is None or not _is_run(data, end, following):
        yield 0, len(data)
        return
    while following is not None:
        yield start, end
        start, end = following, _end_of(data, following)
        following = _next_start(data, end)
    yield start, end


def picture_count(kind: str, data: mmap | bytes) -> int:
    """Return how many pictures of this kind a file holds: one after another, and as their pages.

    Raises SourceError for a TIFF of more pages than can be counted in reasonable time.
    """
    if kind not in WITH_PAGES:
        return sum(1 for _ in pictures_in(data))
    return sum(page_count(kind, data[start:end]) for start, end in pictures_in(data))


def is_run(data: mmap | bytes) -> bool:
    """Return whether there is more than one picture."""
    pieces = pictures_in(data)
    return next(pieces, None) is not None and next(pieces, None) is not None


def _is_run(data: mmap | bytes, end: int, following: int) -> bool:
    """Return whether the second is another frame, not the gain map or preview that phones put behind the first."""
    first, second = data[:end], data[following : _end_of(data, following)]
    if b"MPF\0" in first[: 64 * 1024]:  # CIPA's multi-picture format: one photograph, with what belongs to it
        return False
    one, two = still_header(first), still_header(second)
    if one is None or two is None or one.kind != two.kind:
        return False
    return one.kind != "JPEG" or (one.width, one.height) == (two.width, two.height)


def _next_start(data: mmap | bytes, end: int) -> int | None:
    gap = data[end : end + _PADDING + HEAD_BYTES]
    for skipped in range(min(_PADDING, len(gap))):
        if still_kind(gap[skipped : skipped + HEAD_BYTES]) is not None:
            return end + skipped
        if gap[skipped] not in b"\0\r\n \xff":
            break
    return None


def _end_of(data: mmap | bytes, start: int) -> int:
    """Return where the picture that begins there ends: at the data's end if it does not tell."""
    end = PictureEnd(start).find(data)
    return len(data) if end is None else end
