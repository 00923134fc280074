"""Whether a video's file is cut off, by what it says itself.

FFmpeg reads such files as far as they go, and of some it does not tell that there should be more: it forgets an ASF's
length, knows none of Ogg and GIF, and takes Matroska's for what it found.
"""

from pathlib import Path
from typing import Final

from stages.sources.headers import gif_is_whole, gif_size

_ASF: Final = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES: Final = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
"""GUIDs of the header and of the file's properties in it, from Microsoft's ASF specification."""
_EBML: Final = bytes.fromhex("1a45dfa3")
_SEGMENT: Final = bytes.fromhex("18538067")
"""What a Matroska or WebM file begins with, and the element that all its data are in (RFC 8794 and 9559)."""
_OGG_PAGE: Final = b"OggS\0"
_HEAD: Final = 4096
_TAIL: Final = 2 * 65307  # bytes; no page of Ogg is longer than half of that (RFC 3533)
_MOST_GIF: Final = 1 << 28


def cut_off(path: Path) -> str | None:
    """Return what a file lacks of what it says that it has; None if it is whole, says nothing, or cannot be read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            tail = file.read() if head.startswith(_OGG_PAGE) else b""
            file.seek(0)
            is_whole_gif = gif_size(head) is None or size > _MOST_GIF or gif_is_whole(file.read())
    except OSError:
        return None
    promised = asf_size(head) or matroska_size(head)
    if promised is not None and size < (0.99 * promised if head.startswith(_ASF) else promised):
        return f"it has {size:,} bytes of the {promised:,} its header promises"
    if not is_whole_gif or _ends_within_a_page(tail):
        return f"it ends in the middle of a {'page' if tail else 'picture'}, or before its end mark"
    return None


def asf_size(head: bytes) -> int | None:
    """Return the bytes that an ASF (WMV, WMA) says that it has; None if it is another file, or a broadcast's."""
    at = head.find(_ASF_PROPERTIES)
    if not head.startswith(_ASF) or at < 0 or at + 92 > len(head):
        return None
    is_broadcast = head[at + 88] & 1
    return None if is_broadcast else int.from_bytes(head[at + 40 : at + 48], "little") or None


def matroska_size(head: bytes) -> int | None:
    """Return where a Matroska file's segment says that it ends; None if it is another file, or was written live."""
    if not head.startswith(_EBML):
        return None
    at = 0
    for _ in range(8):  # the header, and what may be between it and the segment
        element = head[at : at + 4]
        if element != _SEGMENT and element != _EBML and element[:1] != b"\xec":  # Void
            return None
        start, size = _element(head, at + (1 if element[:1] == b"\xec" else 4))
        if element == _SEGMENT or size is None:
            return None if size is None else start + size
        at = start + size
    return None


def _element(head: bytes, at: int) -> tuple[int, int | None]:
    """Return where an element's data begin whose size is written here, and the size; None if it is unknown."""
    first = head[at] if at < len(head) else 0
    length = 9 - first.bit_length()
    if length > 8 or at + length > len(head):
        return at, None
    number = int.from_bytes(head[at : at + length], "big") - (1 << 7 * length)
    return at + length, None if number == (1 << 7 * length) - 1 else number


def _ends_within_a_page(tail: bytes) -> bool:
    at = tail.rfind(_OGG_PAGE)
    if at < 0:
        return False
    table = tail[at + 27 : at + 27 + tail[at + 26]] if at + 27 <= len(tail) else b""
    return at + 27 > len(tail) or len(table) < tail[at + 26] or at + 27 + len(table) + sum(table) > len(tail)
