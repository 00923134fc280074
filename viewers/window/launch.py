"""The window runs as a process of its own, beside a run."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)

_PATIENCE = 2.0  # seconds for the window to close before it is killed


@contextmanager
def viewer_process(
    address: str, *, server_key: Path | None = None, client_key: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """Open a window on what is, or will be, published at `address` (as bound), and close it at the end.

    The person may close it earlier; if the window fails a warning is logged, and the run beside it is not disturbed. It
    also closes if this process is killed. Raises OSError if no process can be started.
    """
    keys = [str(key) for key in (server_key, client_key) if key is not None]
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "viewers.window", connectable(address), *keys],  # -P: no folder here shadows ours
        # The pipe closes with this process, whatever ends it: that is how the window learns of it.
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # Ctrl-C at the terminal is for the run; the window is closed when that has ended.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # the same on Windows
    )
    try:
        yield process
    finally:
        failed = process.poll() not in (None, 0)
        process.terminate()
        try:
            _, said = process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            _, said = process.communicate()
        if failed:
            logger.warning("the window has closed: %s", said.strip().rpartition("\n")[2] or process.returncode)


def connectable(address: str) -> str:
    """Return where to connect on this machine for what is bound at `address`: wildcards become loopback."""
    scheme, separator, rest = address.partition("://")
    host, colon, port = rest.rpartition(":")
    loopback = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host)
    return f"{scheme}{separator}{loopback}{colon}{port}" if loopback and scheme == "tcp" else address
