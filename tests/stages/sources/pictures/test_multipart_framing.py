"""Any framing that a browser reads gives the same pictures, however the bytes come."""

import io
import re
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from PIL import Image

from stages.sources.headers import still_kind
from stages.sources.pictures.multipart import Parts, begins_multipart


def picture(number: int, kind: str) -> bytes:
    """A picture of its own; a JPEG with a thumbnail in its header, which has an end of its own."""
    values = np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)
    data = io.BytesIO()
    if kind == "png":
        Image.fromarray(values).save(data, "PNG")
    else:
        thumbnail = io.BytesIO()
        Image.fromarray(values[:16, :16]).save(thumbnail, "JPEG")
        progressive = kind == "progressive"
        Image.fromarray(values).save(data, "JPEG", progressive=progressive, exif=b"Exif\0\0" + thumbnail.getvalue())
    return data.getvalue()


@dataclass
class Part:
    body: bytes = field(repr=False)
    headers: list[bytes] = field(default_factory=list)
    gap: bool = True  # a line's end before the next boundary

    def written(self, eol: bytes) -> bytes:
        return b"".join(header + eol for header in self.headers) + eol + self.body + (eol if self.gap else b"")


def browser(data: bytes, boundary: bytes) -> list[bytes]:
    """What a browser shows: it goes by the boundary alone, and by what the bodies look like."""
    mark = boundary if boundary.startswith(b"--") else b"--" + boundary
    shown = []
    for number, piece in enumerate(data.split(mark)):
        body = re.split(rb"\r?\n\r?\n", piece, maxsplit=1)[-1]
        if (number or piece.lstrip()) and still_kind(body[:64]) is not None:
            shown.append(body)
    return shown


TYPES = ["image/jpeg", "image/jpg", "image/png", "IMAGE/JPEG; x=1", "application/octet-stream", ""]
LETTERS = st.text("abcdefXYZ019'()+_,./=?-", min_size=3, max_size=30)


@st.composite
def parts(draw: st.DrawFn, number: int) -> Part:
    kind = draw(st.sampled_from(["baseline", "baseline", "progressive", "png"]))
    body = picture(number, kind)
    headers = []
    type_ = draw(st.sampled_from(TYPES))
    if type_:
        headers.append(
            draw(st.sampled_from([b"Content-Type: ", b"content-type:", b"Content-type:  "])) + type_.encode()
        )
    length = draw(st.sampled_from(["right", "right", "none", "0", "small", "large", "words"]))
    said = {"right": len(body), "0": 0, "small": len(body) // 2, "large": 2 * len(body)}.get(length)
    if length != "none":
        headers.append(b"Content-Length: " + (b"unknown" if said is None else str(said).encode()))
    if draw(st.booleans()):
        headers.append(b"X-Timestamp: 12.5")
    return Part(body, draw(st.permutations(headers)), draw(st.booleans()))


class Stream:
    """A stream, its boundary as the answer's header has it, and the pictures in it."""

    def __init__(self, data: bytes, boundary: bytes, pictures: list[bytes]) -> None:
        self.data, self.boundary, self.pictures = data, boundary, pictures

    def __repr__(self) -> str:
        outline = self.data
        for picture in self.pictures:
            outline = outline.replace(picture, b"<picture>")
        return f"<{self.boundary!r}: {outline!r}>"


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    eol = draw(st.sampled_from([b"\r\n", b"\n"]))
    boundary = draw(st.sampled_from(["frame", "--frame", "myboundary", "--=_x"]) | LETTERS).encode()
    mark = (boundary if boundary.startswith(b"--") else b"--" + boundary) + eol
    leading = draw(st.booleans())
    shown = [draw(parts(number)) for number in range(draw(st.integers(2, 5)))]
    data = b""
    if leading:
        data += draw(st.sampled_from([b"", eol, b"This is a stream of pictures." + eol, eol + eol])) + mark
    elif not shown[0].headers:
        shown[0].headers = [b"Content-Type: image/jpeg"]
    for part in shown:
        data += part.written(eol) + mark
        if draw(st.integers(0, 4)) == 0:
            text = draw(st.sampled_from([b"", b"hi", b"a line" + eol + b"another", b"x" * 200]))
            length = draw(st.sampled_from([[], [b"Content-Length: %d" % len(text)], [b"Content-Length: 0"]]))
            data += Part(text, [b"Content-Type: text/plain", *length]).written(eol) + mark
    if draw(st.booleans()):
        data = data.removesuffix(mark) + mark.rstrip() + b"--" + eol
    return Stream(data, boundary, [part.body for part in shown])


def fed(data: bytes, cuts: list[int]) -> list[bytes]:
    parts = Parts()
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [each for begin, end in pairwise(places) for each in parts.feed(data[begin:end])]


@settings(max_examples=300, deadline=None)
@given(streams(), st.lists(st.integers(0, 100_000), max_size=12))
def test_any_framing_gives_the_pictures_that_a_browser_shows(stream: Stream, cuts: list[int]) -> None:
    data, pictures = stream.data, stream.pictures
    shown = browser(data, stream.boundary)
    assert len(shown) == len(pictures), "the test is wrong"
    assert all(body.startswith(one) for body, one in zip(shown, pictures, strict=True)), "the test is wrong"
    assert begins_multipart(data[:2048])
    found = [body.rstrip(b"\r\n") for body in fed(data, cuts)]
    assert len(found) == len(pictures)
    assert all(one == other.rstrip(b"\r\n") for one, other in zip(found, pictures, strict=True))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_boundary_may_lack_its_dashes(data: st.DataObject) -> None:
    word = data.draw(LETTERS.filter(lambda text: not text.startswith("-"))).encode()
    shown = [data.draw(parts(number)) for number in range(4)]
    for part in shown:
        part.headers = part.headers or [b"Content-Type: image/jpeg"]
        part.gap = True
    stream = b"".join(word + b"\r\n" + part.written(b"\r\n") for part in shown)
    found = fed(stream, [])
    assert len(found) == len(shown)
    assert all(each.startswith(part.body.rstrip()) for each, part in zip(found, shown, strict=True))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "AVIF", "PPM", "JPEG2000", "QOI"])
def test_pictures_of_every_kind_are_read(kind: str) -> None:
    shown = []
    for number in range(3):
        data = io.BytesIO()
        Image.fromarray(np.random.default_rng(number).integers(0, 256, (24, 32, 3), np.uint8)).save(data, kind)
        shown.append(data.getvalue())
    stream = b"".join(b"--frame\r\nContent-Type: image/x\r\n\r\n" + body + b"\r\n" for body in shown) + b"--frame--"
    assert [body.removesuffix(b"\r\n") for body in fed(stream, list(range(0, len(stream), 50)))] == shown


def test_a_picture_that_was_cut_off_does_not_take_the_next_with_it() -> None:
    one, two, three = (picture(number, "baseline") for number in range(3))
    head = b"--frame\r\nContent-Type: image/jpeg\r\n"
    for length in (b"", b"Content-Length: %d\r\n" % len(two)):
        stream = b"".join(
            head + said + b"\r\n" + body + b"\r\n"
            for said, body in ((b"", one), (length, two[: len(two) // 2]), (b"", three))
        )
        found = fed(stream, [])
        assert found[0] == one
        assert found[-1] == three
        assert len(found) == 3
        assert found[1].startswith(two[: len(two) // 2])
        assert len(found[1]) < len(two)


@pytest.mark.parametrize("length", ["right", "none"])
def test_a_picture_is_given_as_soon_as_its_last_byte_is_there(length: str) -> None:
    parts = Parts()
    for number in range(4):
        body = picture(number, "baseline")
        said = b"Content-Length: %d\r\n" % len(body) if length == "right" else b""
        data = b"--frame\r\nContent-Type: image/jpeg\r\n" + said + b"\r\n" + body
        assert parts.feed(data[:-1]) == []
        assert parts.feed(data[-1:]) == [body]
        assert parts.feed(b"\r\n") == []


def test_a_picture_without_its_end_is_given_by_its_length_once_lengths_were_right() -> None:
    parts = Parts()
    for number in range(3):
        body = picture(number, "baseline").removesuffix(b"\xff\xd9")
        data = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        found = parts.feed(data)
        assert found == ([body] if number else [])
        if not number:
            assert parts.feed(b"\r\n--frame") == [body + b"\r\n"]
            parts = Parts()
            parts.feed(data + b"\r\n--frame\r\n")
        else:
            parts.feed(b"\r\n")


def test_the_headers_of_the_answer_may_stand_before_it() -> None:
    body = picture(0, "baseline")
    data = (
        b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n"
        b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + body + b"\r\n"
    )
    assert begins_multipart(data)
    assert fed(data, []) == [body]


@pytest.mark.parametrize(
    "data",
    [
        b"<html>\n<head>Content-Type: text/html\n\n</head>",
        b"Content-Type: text/plain\r\n\r\nhello",
        b"--frame\r\n",
        b"",
        b"\0\1\2--frame\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8\xff\xe0",
        b"#EXTM3U\n#EXT-X-VERSION: 3\n\n",
    ],
)
def test_what_is_no_answer_of_pictures_is_not_taken_for_one(data: bytes) -> None:
    assert not begins_multipart(data)


BEGINNINGS = [
    *(b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"BM%b\x28" % (12 * b"a"), b"RIFF0000WEBP", b"II*\0", b"MM\0*"),
    *(b"\r\n--ftypavif", b"aaaaftypavif", b"--frftypheic", b"aaaaftypheic", b"\n--fjP  \r\n\x87\n", b"P5\n", b"P7\n"),
    *(b"\xff\x0a", b"aaaaJXL \r\n\x87\n", b"qoif"),
]
"""Of each kind of picture, some of which may as well begin headers or a boundary."""
FRAMING = [
    *(b"\r\n", b"\n\n", b"--frame", b"--", b"X-Timestamp: 1\r\n", b"Content-Type: image/jpeg\r\n"),
    *(b"Content-Length: 9\r\n\r\n", b": "),
]
DAMAGE = st.lists(st.sampled_from(BEGINNINGS) | st.sampled_from(FRAMING) | st.binary(max_size=500), max_size=6)


@settings(max_examples=200, deadline=None)
@given(DAMAGE.map(b"".join), streams(), st.integers(0, 4000))
@example(b"qoif", Stream(b"X-Time: 1\r\nContent-Type: image/jpeg\r\n\r\n" + picture(0, "png"), b"", []), 0)
@example(b"\xff\xd8\xff\xe0\r\n\xff\xd8\xff\xe0", Stream(b"--frame\r\n\r\n" + picture(0, "png"), b"", []), 2)
@example(b"\xff\n", Stream(b"Content-Type: image/jpeg\r\n\r\n" + picture(0, "png"), b"", []), 0)
def test_damage_never_ends_it_and_what_follows_is_read(noise: bytes, stream: Stream, at: int) -> None:
    data = stream.data
    place = at % (len(data) + 1)
    parts = Parts()
    parts.feed(data[:place] + noise + data[place:])
    whole = picture(99, "baseline")
    for _ in range(3):
        found = parts.feed(b"\r\n--frame-of-test\r\nContent-Type: image/jpeg\r\n\r\n" + whole + b"\r\n")
    assert any(whole in each for each in found)


HOSTILE = [
    b"a:\n",
    b"a",
    b" --",
    b"--a\n",
    b"\n--",
    b"a: b\r\n\r\nX",
    b"\xff\xd8\xff",
    b"--\r\n\r\n",
    b"Content-Type: text/plain\n\n",
]


def tiny(number: int) -> bytes:
    return [
        b"\xff\xd8\xff\xd9", b"\xff\xd8\xff\xda\0\2x\xff\xd9", b"RIFF\4\0\0\0WEBP", b"qoifxxxx" + 7 * b"\0" + b"\1",
        b"P5 1 1 1 x", b"\0\0\0\x0cftypavif", b"BM\x50\0\0\0" + bytes(8) + b"\x28" + bytes(65),
        b"II*\0\x08\0\0\0" + bytes(6),
    ][number]  # fmt: skip


@pytest.mark.parametrize("body", range(8))
@pytest.mark.parametrize("between", [b"", b"--frame\r\nContent-Type: image/x\r\n\r\n", b"\r\n--frame\r\n\r\n"])
def test_each_of_many_pictures_that_wait_is_looked_at_alone(body: int, between: bytes) -> None:
    whole = between + tiny(body)
    count = 2**18 // len(whole)
    found = Parts().feed(whole * count + between)  # each looking at all that follow, it would take minutes
    assert count - len(found) in (0, 1)
    assert {each.rstrip(b"\r\n") for each in found} == {tiny(body)}


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 7).map(tiny) | st.sampled_from(BEGINNINGS) | st.sampled_from(FRAMING), max_size=12))
def test_tokens_in_any_order_end(tokens: list[bytes]) -> None:
    parts = Parts()
    for token in tokens:
        parts.feed(token)
    begins_multipart(b"".join(tokens))


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_data_make_it_slow(piece: bytes) -> None:
    parts = Parts()
    begins_multipart(piece * 700)
    for _ in range(8):  # a second or two; a search that grows with the square of the data would take hours
        parts.feed(piece * (2**16 // len(piece)))
