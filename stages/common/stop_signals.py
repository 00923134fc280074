"""What Ctrl-C (SIGINT), SIGTERM and SIGHUP do, the same in every program here.

SIGHUP comes when the terminal of a program is closed.
"""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def _signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end a program. `nohup` has the last one ignored, and Windows does not know it."""
    hang_up = getattr(signal, "SIGHUP", None)
    wanted = hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN
    return (signal.SIGINT, signal.SIGTERM, *((hang_up,) if wanted else ()))


def interrupted_by_signals() -> None:
    """Make all of them raise KeyboardInterrupt in the main thread from now on.

    A shell's background jobs are started with SIGINT ignored, and SIGTERM would end a program at once.
    """
    for number in _signals():
        signal.signal(number, signal.default_int_handler)


@contextmanager
def stopped_by_signals(*stops: Callable[[], None]) -> Iterator[None]:
    """In this block, make the first signal call these, which end work cleanly; a second one does not wait.

    The second raises KeyboardInterrupt. It is called from the main thread.
    """

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        for stop_work in stops:
            stop_work()

    before = {number: signal.signal(number, stop) for number in _signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
