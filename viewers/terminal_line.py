"""A viewer keeps one line at the terminal that it was started from."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from stages.common.terminal import Terminal

_EVERY = 0.25  # seconds


class TerminalLine:
    """A line on standard error with the newest numbers; if that is no terminal, one line for each new state."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Terminal(stderr=True)
        self._status = self._console.status("starting") if self._console.is_terminal else None
        self._state = ""
        self._next = 0.0

    def __enter__(self) -> Self:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    @property
    def due(self) -> bool:
        """Whether it is time for newer numbers."""
        return time.monotonic() >= self._next

    def show(self, state: str, line: str) -> None:
        """Show this line; if standard error is no terminal, print the state if it is a new one."""
        self._next = time.monotonic() + _EVERY
        if self._status is not None:
            self._status.start()
            self._status.update(Text(line))
        elif state != self._state:
            self.say(state)
        self._state = state

    def hide(self) -> None:
        """Take the line away until the next `show`."""
        if self._status is not None:
            self._status.stop()

    def say(self, text: str) -> None:
        """Print something that stays, above the line."""
        self._console.print(text, highlight=False, markup=False)
