"""A worker process does one task of a batch after the other, as its parent tells it to.

It is a process of its own so that a damaged file that crashes a decoder, or a lack of memory, does not end the batch.
"""

import os
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection

from pipeline.batch.task import Progress, perform
from pipeline.terminal import ABANDONED_PREFIX
from stages.common.stop_signals import interrupted_by_signals


def main(handle: int) -> None:
    """Take tasks from the parent's end of this connection until it is closed."""
    interrupted_by_signals()
    parent = Connection(handle)

    def tell(progress: Progress) -> None:
        try:
            parent.send(progress)
        except OSError:  # the parent is gone: stop as by Ctrl-C
            os.kill(os.getpid(), signal.SIGINT)

    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            outcome = perform(parent.recv(), tell)
            # A stage that was abandoned in foreign code may still be at work there.
            abandoned = any(thread.name.startswith(ABANDONED_PREFIX) for thread in threading.enumerate())
            parent.send(replace(outcome, last=abandoned))
    sys.stderr.flush()
    os._exit(0)  # at once, also where such a thread would hold it
