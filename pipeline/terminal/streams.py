"""Standard streams that may be closed, full or not there, and limits of the process that are too small to work with."""

import os
import sys
from collections.abc import Iterable
from typing import IO, Any, Final

from hamba_core.errors import ConfigurationError

PIPE_CLOSED: Final = 141
"""Exit status where the reader of a pipe has gone, as shells have it for a program that SIGPIPE ends."""

_LEAST_DESCRIPTORS: Final = 64
_LEAST_MEMORY: Final = 3 << 30


def check_limits() -> None:
    """Raise ConfigurationError where the process may open too few files or take too little memory to do anything."""
    if sys.platform == "win32":
        return
    import resource

    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= descriptors < _LEAST_DESCRIPTORS:
        raise ConfigurationError(
            f"expected to be allowed {_LEAST_DESCRIPTORS} open files at least, found {descriptors}: ulimit -n 1024"
        )
    memory, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= memory < _LEAST_MEMORY:
        raise ConfigurationError(
            f"expected {_LEAST_MEMORY >> 30} GiB of virtual memory at least, most of which is never used, found "
            f"{memory >> 20} MiB: ulimit -v unlimited; systemd-run -p MemoryMax and containers bound what is used"
        )


def mend_streams() -> None:
    """Have every standard stream be there, and lose what is written to one that is closed, full or read by nobody.

    The work goes on; `output_error` says what happened to standard output.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)  # takes the place of one that is closed, before a file of ours does
    os.close(descriptor)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = _Lossy(sys.stdout or open(1, "w", closefd=False))  # noqa: SIM115
    sys.stderr = _Lossy(sys.stderr or open(2, "w", closefd=False))  # noqa: SIM115


class _Lossy:
    """A text stream that loses what cannot be written, and keeps the first error."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._fail(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        self.error = self.error or error
        nowhere = os.open(os.devnull, os.O_WRONLY)  # for what the stream holds back, which it tries to write again
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def output_error() -> OSError | None:
    """Why standard output did not take all that was written to it; None where it did."""
    sys.stdout.flush()
    error = getattr(sys.stdout, "error", None)
    return error if isinstance(error, OSError) else None
