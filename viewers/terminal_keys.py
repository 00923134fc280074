"""Keys that are pressed at a terminal, one by one, while a program goes on."""

import os
import select
import sys
from importlib import import_module
from types import TracebackType
from typing import Any, Self


class TerminalKeys:
    """Inside its context `pressed` returns what was typed. Where standard input is no terminal, nothing ever is."""

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        self._input = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None

    @property
    def available(self) -> bool:
        """Whether somebody can press keys."""
        return self._input is not None

    def __enter__(self) -> Self:
        if self._input is not None and sys.platform != "win32":  # whose console gives keys as they are
            import termios
            import tty

            self._before = termios.tcgetattr(self._input)
            tty.setcbreak(self._input)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._input is not None and self._before is not None and sys.platform != "win32":
            import termios

            termios.tcsetattr(self._input, termios.TCSADRAIN, self._before)

    def pressed(self) -> str:
        """Return the keys pressed since the last call; it does not wait."""
        if self._input is not None and sys.platform == "win32":
            return _pressed_in_a_console()
        if self._input is None or not select.select([self._input], [], [], 0)[0]:
            return ""
        return os.read(self._input, 64).decode("utf-8", "replace")


def _pressed_in_a_console() -> str:
    console: Any = import_module("msvcrt")  # which type checkers know on Windows alone
    keys = ""
    while console.kbhit():
        keys += console.getwch()
    return keys
