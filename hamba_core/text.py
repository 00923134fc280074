"""Texts for people: numbers with their nouns, and names of files.

Linux takes any bytes for a name; Python keeps those that are not UTF-8 as lone surrogates, which no file format,
message or terminal takes.
"""

import re
from pathlib import Path

_SURROGATE = re.compile("[\ud800-\udfff]")


def counted(number: int, noun: str) -> str:
    """Return a number and its noun, as in "1 hand" or "2,000 frames"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def is_utf8(text: str) -> bool:
    """Return whether a text can be written as UTF-8."""
    return _SURROGATE.search(text) is None


def readable(text: str) -> str:
    """Return a text for people to read, in which a byte that is not UTF-8 is written as in \\xe9."""
    return _SURROGATE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", text)


def address_of(name: str) -> str:
    """Return a file's name as it is or, if that is not UTF-8, its file: address, by which it can be opened again."""
    return name if is_utf8(name) else Path(name).absolute().as_uri()
