"""Everything that is written to a terminal is plain text, whoever wrote it.

Names of files, streams and publishers may hold what a terminal obeys: escape sequences that move, hide, colour, name
the window or make links, and marks that turn the direction of the text. Here they become visible signs. All that
commands and viewers show goes through `Terminal`, `tell` or, what is logged, `log_to_terminal`.
"""

import logging
import os
import re
import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console
from rich.segment import Segment

from hamba_core.text import readable

_OBEYED: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_NO_EDGE: Final = 10_000
"""Columns of what has none: a file or a pipe, in which a line that is folded cannot be found or copied."""
_PADDING: Final = re.compile(" +(?=\n)")


def shown(text: str) -> str:
    """Return the text with a visible sign for each character that a terminal would obey; lines and tabs stay."""
    return _OBEYED.sub(lambda found: _sign(ord(found[0])), readable(text))


def _sign(code: int) -> str:
    if code < 0x20:
        return chr(0x2400 + code)  # U+241B is a small ESC
    return "\u2421" if code == 0x7F else "\ufffd"


def tell(text: str) -> None:
    """Write a line to standard error."""
    sys.stderr.write(shown(text) + "\n")


class Terminal(Console):
    """A console of rich's on which texts are texts: no markup in them, and nothing that a terminal obeys.

    Lines are folded for a screen alone, or where COLUMNS says how wide it is.
    """

    def __init__(self, *, stderr: bool = False, quiet: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, quiet=quiet, markup=False, emoji=False, **options)
        self._edged = self.is_terminal or "width" in options or "COLUMNS" in os.environ
        if not self._edged:
            self.width = _NO_EDGE

    def _render_buffer(self, buffer: Iterable[Segment]) -> str:
        text = super()._render_buffer(
            segment if segment.control else Segment(shown(segment.text), segment.style) for segment in buffer
        )
        return text if self._edged else _PADDING.sub("", text)


def log_to_terminal() -> None:
    """Send warnings and errors that are logged to standard error, the message alone."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Shown())
    handler.setLevel(logging.WARNING)
    logging.getLogger().addHandler(handler)


class _Shown(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return shown(super().format(record))
