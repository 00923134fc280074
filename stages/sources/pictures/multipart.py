"""Network cameras send pictures one after another as parts of a multipart answer; a saved stream looks the same.

It is read as browsers and VLC read it, however a camera bends the standard: the boundary may be missing before the
first part, a part may have no type or length, or a wrong type, and parts of text may stand between.
"""

import re
from typing import Final

from stages.sources.headers import HEAD_BYTES, still_kind

_HEADERS: Final = re.compile(rb"\s*(?:--[^\r\n]*\r?\n)?(?:[A-Za-z][A-Za-z0-9_-]*[ \t]*:[^\r\n]*\r?\n)+\r?\n")
_LENGTH: Final = re.compile(rb"^content-length[ \t]*:[ \t]*(\d+)", re.IGNORECASE | re.MULTILINE)
_TYPE: Final = re.compile(rb"^content-type[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)
_BOUNDARY: Final = re.compile(rb"\s*(--[^\r\n]+?)(?:--)?\r?\n")
_LONGEST_HEADERS: Final = 16 * 1024
_LARGEST_PART: Final = 64 * 2**20
_END_OF_JPEG: Final = b"\xff\xd9"


def begins_multipart(head: bytes) -> bool:
    """Return whether data begin as a multipart answer of pictures does, with or without a boundary in front."""
    match = _HEADERS.match(head)
    if match is None:
        return False
    kind = _TYPE.search(match.group())
    after = head[match.end() :]
    if kind and kind.group(1).lower().startswith(b"multipart/"):
        return False
    boundary = match.group().lstrip().startswith(b"--")
    return still_kind(after[:HEAD_BYTES]) is not None or (boundary and kind is not None)


class Parts:
    """It takes the bytes of such an answer as they come and gives the pictures in them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._boundary: bytes | None = None
        self._length: int | None = None  # of the part that is being read; -1 where it does not say
        self._searched = 0
        self.passed_over = 0
        """Parts that were no pictures."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes, and return the pictures that are whole now."""
        self._buffer += data
        pictures: list[bytes] = []
        while True:
            if self._length is None and not self._headers():
                return pictures
            body = self._body()
            if body is None:
                return pictures
            if still_kind(body[:HEAD_BYTES]) is not None:
                pictures.append(body)
            elif body.strip():
                self.passed_over += 1

    def rest(self) -> bytes | None:
        """Return the picture that was being read when the data ended; None if there was none."""
        whole = self._length is None or still_kind(bytes(self._buffer[:HEAD_BYTES])) is None
        return None if whole else bytes(self._buffer)

    def _headers(self) -> bool:
        """Return whether the headers of a part were there; if so, the buffer now begins with its body."""
        buffer = self._buffer
        if still_kind(bytes(buffer[:HEAD_BYTES])) is not None:  # a part without headers
            self._length, self._searched = -1, 0
            return True
        match = _HEADERS.search(buffer)
        if match is None:
            if len(buffer) > _LONGEST_HEADERS:
                del buffer[: -_LONGEST_HEADERS // 2]
            return False
        headers = match.group()
        boundary = _BOUNDARY.match(headers)
        if boundary is not None:
            self._boundary = boundary.group(1)
        length = _LENGTH.search(headers)
        self._length = int(length.group(1)) if length else -1
        if not 0 < self._length <= _LARGEST_PART:  # some say 0 and send a picture
            self._length = -1
        self._searched = 0
        del buffer[: match.end()]
        return True

    def _body(self) -> bytes | None:
        """Return the part's body, taken from the buffer; None if it is not whole yet."""
        buffer, length = self._buffer, self._length
        if length is None:
            return None
        if length < 0:
            # Where no boundary was seen yet, a JPEG tells its own end.
            mark = self._boundary or _END_OF_JPEG
            at = buffer.find(mark, self._searched)
            if at < 0:
                self._searched = max(0, len(buffer) - len(mark))
                if len(buffer) > _LARGEST_PART:
                    buffer.clear()
                    self._length = None
                return None
            length = at if self._boundary else at + len(mark)
        elif len(buffer) < length:
            return None
        body = bytes(buffer[:length])
        del buffer[:length]
        self._length = None
        return body
