"""Files that are no pictures or videos are named as what they are.

FFmpeg would say "unknown" of most. In some it would find a preview, a page or a thumbnail, and read that in silence.
"""

import codecs
from typing import Final, Literal

from stages.sources.decoding import reads
from stages.sources.headers import still_kind

HEAD_BYTES: Final = 64 * 1024
"""So many bytes of a file tell it."""

_RAW: Final = "a camera's raw data; develop it to JPEG, PNG or TIFF first: here only the preview in it could be read"
_ARCHIVE: Final = "an archive; unpack it first"
_BEGINNINGS: Final = (
    (b"%PDF-", "a PDF; save its pages as PNG first"),
    (b"\x89MCAP0\r\n", "a recording; hamba view, hamba play and hamba export read it"),
    (b"PK\x03\x04", _ARCHIVE),
    (b"\x1f\x8b", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!\x1a\x07", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\xfd7zXZ\0", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (b"FUJIFILMCCD-RAW", _RAW),
    (b"IIRO", _RAW),  # Olympus
    (b"IIU\0", _RAW),  # Panasonic
    (b"FOVb", _RAW),  # Sigma
    (b"\0MRM", _RAW),  # Minolta
    (b"\x89HDF\r\n", "data in HDF5; save the pictures in it as PNG first"),
    (b"\x93NUMPY", "an array of NumPy's; save the pictures in it as PNG first"),
    (b"glTF", "a 3D model; expected what a camera saw"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "a database"),
)
_CONCAT: Final = frozenset(("ffconcat", "file", "duration", "inpoint", "outpoint", "stream", "option", "chapter"))
"""First words of the lines of FFmpeg's lists of files."""
_NAMED_WITHIN: Final = 1000  # letters
_WHOLE: Final = frozenset(("TIFF", "AVIF", "HEIC", "JPEG XL"))
"""Of these FFmpeg gives some wrong, or one tile or page, in silence; Pillow and tifffile want the whole file."""
_CANON: Final = (b"CR\x02", b"HEAPCCDR")


def foreign_kind(head: bytes) -> str | None:
    """Return what a file is that begins with these bytes, and what to do, if it is no picture or video that is read."""
    for beginning, what in _BEGINNINGS:
        if head.startswith(beginning):
            return what
    if head[8:11] == _CANON[0] or head[6:14] == _CANON[1] or head[4:12] == b"ftypcrx " or _is_raw_tiff(head):
        return _RAW
    return None


def text_kind(head: bytes, name: str) -> str | None:
    """Return what a file is that begins with these bytes, if that is text; None where it is none."""
    text = _decoded(head)
    if text is None or not text.strip():
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("# ")]
    first, suffix = (lines[0] if lines else ""), name.rpartition(".")[2].lower()
    if first.startswith("#EXTM3U") or suffix in ("m3u", "m3u8"):
        return "a playlist (M3U); give what it names"
    if first.startswith("ffconcat ") or (lines and all(line.split()[0] in _CONCAT for line in lines[:20])):
        return "a list of files (ffconcat); give what it names"
    if first.lower() == "[playlist]" or "<asx" in text.lower()[:_NAMED_WITHIN]:
        return "a playlist (PLS or ASX); give what it names"
    if "<MPD" in text[:_NAMED_WITHIN]:
        return f"a playlist (DASH){_about_dash()}"
    if first.startswith("v=0") and "\nm=" in text.replace("\r", "\n"):
        return "a session description (SDP); give the stream's own address"
    return "text"


def unread_at_address(head: bytes) -> str | None:
    """Return what a file at an address is, and what to do, if its pictures are read right from the disk alone."""
    kind = still_kind(head)
    if kind in _WHOLE or (kind == "WebP" and b"ANIM" in head[:256]):
        return f"a picture ({kind}); save it here and give the file, which is read as a whole"
    if b"<MPD" in head[:_NAMED_WITHIN] and not reads("dash"):
        return text_kind(head, "")
    return foreign_kind(head)


def _about_dash() -> str:
    if reads("dash"):
        return "; it is read under a name that ends in .mpd"
    return ", which this build of FFmpeg does not read; ask the sender for HLS (.m3u8), or convert it with ffmpeg"


def _decoded(head: bytes) -> str | None:
    """Return the text that a file begins with, in UTF-8 or, with a byte-order mark, in UTF-16; None if it is none."""
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        # The head may end within a letter.
        text = codecs.getincrementaldecoder("utf-16" if wide else "utf-8-sig")().decode(head)
    except UnicodeDecodeError:
        return None
    return text if all(sign.isprintable() or sign.isspace() for sign in text) else None


def _is_raw_tiff(head: bytes) -> bool:
    """Return whether a TIFF is a camera's raw data: DNG, or one whose first picture is a preview of another."""
    if head[:4] not in (b"II*\0", b"MM\0*"):
        return False
    order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], order)

    at = number(4, 4)
    tags = {}
    for place in range(at + 2, min(at + 2 + 12 * number(at, 2), len(head) - 11), 12):
        tags[number(place, 2)] = number(place + 8, 2 if number(place + 2, 2) == 3 else 4)
    preview, colours, others, version = tags.get(254, 0) & 1, tags.get(262), 330 in tags, 50706 in tags
    return version or colours in (32803, 34892) or bool(preview and others)
