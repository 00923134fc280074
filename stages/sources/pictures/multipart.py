"""Network cameras send pictures one after another as parts of a multipart answer; a saved stream looks the same.

It is read as browsers and VLC read it, however a camera bends the standard: the boundary may be missing before the
first part, or be without its dashes; a part may have no type or length, or wrong ones; parts of text may stand between.
A picture's own structure says where it ends. Boundary and length are asked where it does not.
"""

import re
from typing import Final

from stages.sources.headers import HEAD_BYTES, still_kind
from stages.sources.pictures.picture_ends import PictureEnd

# All repetitions are bounded, so that no data make the search slow.
_LINE: Final = rb"[A-Za-z][A-Za-z0-9_.-]{0,60}[ \t]{0,8}:[^\r\n]{0,4000}\r?\n"
_HEADERS: Final = re.compile(
    rb"(?<![^\n])(?:"
    rb"(?:(?P<line>--[^\r\n]{0,200}|[!-9;-~]{1,70})[ \t]{0,8}\r?\n)?(?P<headers>(?:%b){1,20})\r?\n"
    rb"|(?P<bare>--[^\r\n]{1,200})\r?\n(?:\r?\n|(?=\xff\xd8\xff|\x89PNG)))" % _LINE
)
"""A part's headers, and the line before them, which is the boundary; or a bare boundary."""
_LENGTH: Final = re.compile(rb"^content-length[ \t]*:[ \t]*(\d+)", re.IGNORECASE | re.MULTILINE)
_TYPE: Final = re.compile(rb"^content-type[ \t]*:[ \t]*([^\s;]+)", re.IGNORECASE | re.MULTILINE)
_CONTENT: Final = re.compile(rb"^content-(?:type|length)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_PREAMBLE: Final = re.compile(rb"[\t\n\r -~]*")
_SPACE: Final = re.compile(rb"\s*")
_LONGEST_HEADERS: Final = 16 * 1024
_LARGEST_PART: Final = 64 * 2**20
_TELLING: Final = 12  # bytes that tell whether a part is a picture


def begins_multipart(head: bytes) -> bool:
    """Return whether data begin as a multipart answer of pictures does, with or without a boundary in front.

    Text may stand before it, such as the headers of the answer in a saved one.
    """
    at = 0
    while (match := _HEADERS.search(head, at)) is not None:
        if _PREAMBLE.match(head, 0, match.start()).end() < match.start():  # type: ignore[union-attr]
            return False
        kind = _TYPE.search(match["headers"] or b"")
        boundary = match["bare"] or (match["line"] or b"").startswith(b"--")
        if still_kind(head[match.end() :][:HEAD_BYTES]) is not None:
            return True
        if boundary and kind and not kind.group(1).lower().startswith(b"multipart/"):
            return True
        at = match.end()
    return False


class Parts:
    """It takes the bytes of such an answer as they come and gives the pictures in them."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._boundary: bytes | None = None
        self._line: bytes | None = None  # before the newest headers; it is a boundary if it comes again
        self._came_again = False  # the boundary did, so that it is not a damaged one
        self._in_part = False
        self._length = 0  # of the part that is being read, as its header says; 0 where it does not
        self._trusted = False  # the last length was right, of a picture that did not tell its end
        self._end = PictureEnd()
        self._searched = 0  # up to there no boundary was found
        self._looked = 0  # up to there no headers were found
        self.passed_over = 0
        """Parts that were no pictures."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take more bytes, and return the pictures that are whole now."""
        self._buffer += data
        pictures: list[bytes] = []
        while True:
            if not self._in_part and not self._headers():
                return pictures
            size = self._size()
            if size is None:
                if len(self._buffer) > _LARGEST_PART:
                    self._buffer.clear()
                    self._in_part = False
                return pictures
            body = bytes(self._buffer[:size])
            del self._buffer[:size]
            self._in_part = False
            # Before a boundary stands the end of a line.
            right = self._length > 0 and self._length in (size, size - 1, size - 2)
            self._trusted = right and self._end.kind is not None and self._end.find(body) is None
            if still_kind(body[:HEAD_BYTES]) is not None:
                pictures.append(body)
            elif body.strip():
                self.passed_over += 1

    def rest(self) -> bytes | None:
        """Return the picture that was being read when the data ended; None if there was none."""
        whole = not self._in_part or still_kind(bytes(self._buffer[:HEAD_BYTES])) is None
        return None if whole else bytes(self._buffer)

    def _headers(self) -> bool:
        """Return whether the headers of a part were there; if so, the buffer now begins with its body."""
        buffer = self._buffer
        begin = _SPACE.match(buffer).end()  # type: ignore[union-attr]
        if still_kind(bytes(buffer[begin : begin + HEAD_BYTES])) is not None:  # a part without headers
            del buffer[:begin]
            self._begin(0)
            return True
        match = _HEADERS.search(buffer)
        if match is None:
            if len(buffer) > _LONGEST_HEADERS:
                del buffer[: -_LONGEST_HEADERS // 2]
            return False
        line = (match["line"] or match["bare"] or b"").rstrip()
        if line.startswith(b"--"):
            self._boundary = line.removesuffix(b"--") if len(line) > 4 else line
        elif line and line == self._line:
            self._boundary = b"\n" + line  # such a word may stand anywhere else
        self._came_again = bool(line) and line == self._line
        self._line = line
        length = _LENGTH.search(match["headers"] or b"")
        del buffer[: match.end()]
        self._begin(int(length.group(1)) if length else 0)
        return True

    def _begin(self, length: int) -> None:
        self._in_part = True
        self._length = length if length <= _LARGEST_PART else 0
        self._end = PictureEnd()
        self._searched = self._looked = 0

    def _size(self) -> int | None:
        """Return how long the body is that the buffer begins with; None if it is not whole yet."""
        buffer = self._buffer
        end = self._end.find(buffer)
        known = self._end.kind is not None
        least = 1 if known else 0  # what begins as a picture may begin as headers or the boundary do, too
        if not known and len(buffer) < min(self._length or _TELLING, _TELLING):
            return None
        limits = [] if end is None else [end]
        # A picture that was cut off, and what is none, ends where the next part begins.
        if not (known and self._boundary and self._came_again):
            # No further than to its end: many pictures may wait, and each would look through all that follow.
            found = _HEADERS.finditer(buffer, max(least, self._looked), len(buffer) if end is None else end)
            # Within a picture something may look like headers by chance.
            following = next((match for match in found if not known or _CONTENT.search(match["headers"] or b"")), None)
            self._looked = max(0, len(buffer) - _LONGEST_HEADERS)
            if following is not None:
                limits.append(following.start())
        if self._boundary is not None:
            last = min(limits) + len(self._boundary) if limits else None
            at = buffer.find(self._boundary, max(least, self._searched), last)
            self._searched = max(0, len(buffer) - len(self._boundary))
            if at >= 0:
                limits.append(at)
        if limits:
            return min(limits)
        if self._length and len(buffer) >= self._length:
            after = self._length, self._length + _LONGEST_HEADERS
            if not known or self._trusted or _HEADERS.search(buffer, *after) is not None:
                return self._length
        return None
