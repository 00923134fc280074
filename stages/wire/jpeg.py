"""The size of a JPEG picture, read without decoding it (ITU-T T.81, B.2)."""

from hamba_core.errors import WireError

MOST_PIXELS = 1 << 25
"""The most pixels of a picture on the wire; publishers make pictures at most 4096 wide."""

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH = frozenset((0x01, *range(0xD0, 0xD8)))


def check_jpeg(data: bytes) -> None:
    """Raise WireError where this is no JPEG, or one that is larger than pictures on the wire are."""
    if not data.startswith(b"\xff\xd8"):
        raise WireError(f"jpeg: expected a JPEG picture, found bytes that start {data[:4]!r}")
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _FRAMES:
            height, width = (int.from_bytes(data[at + i : at + i + 2], "big") for i in (5, 7))
            if not 0 < width * height <= MOST_PIXELS:
                raise WireError(f"jpeg: expected a picture of at most {MOST_PIXELS} pixels, found {width}x{height}")
            return
        if marker == 0xFF or marker in _WITHOUT_LENGTH:
            at += 1 if marker == 0xFF else 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise WireError("jpeg: expected a JPEG picture, found none that says its size")
