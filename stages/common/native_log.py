"""Keep a native library's chatter from the terminal while it starts.

MediaPipe and TensorFlow Lite write some lines to file descriptor 2 whenever they are set up, and have neither an option
nor an environment variable against it.
"""

import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_CHATTER: Final = re.compile(
    rb"INFO: |WARNING: Logging before InitGoogle|WARNING: All log messages before absl::InitializeLog"
    rb"|[IW]\d{4} \d\d:\d\d:"  # information and warnings of Abseil's logging
)
_STDERR: Final = 2
_one_at_a_time = threading.Lock()


@contextmanager
def chatter_held_back() -> Iterator[None]:
    """While the block runs, hold back what the process writes to standard error; then pass on all but the chatter.

    Errors, and whatever other threads write meanwhile, come through as the block ends, also where it raises.
    """
    with _one_at_a_time, tempfile.TemporaryFile() as held:
        try:
            original = os.dup(_STDERR)
        except OSError:  # closed: nobody to keep anything from
            yield
            return
        os.dup2(held.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(original, _STDERR)
            held.seek(0)
            wanted = b"".join(line for line in held if not _CHATTER.match(line))
            while wanted:
                wanted = wanted[os.write(original, wanted) :]
            os.close(original)
