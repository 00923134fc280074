"""What Ctrl-C (SIGINT) and SIGTERM do, the same in every program here."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def interrupted_by_signals() -> None:
    """From now on, both raise KeyboardInterrupt in the main thread.

    A shell's background jobs are started with SIGINT ignored, and SIGTERM would end a program at once.
    """
    for number in _SIGNALS:
        signal.signal(number, signal.default_int_handler)


@contextmanager
def stopped_by_signals(*stops: Callable[[], None]) -> Iterator[None]:
    """In this block, the first of them calls these, which end work cleanly; a second one does not wait for that.

    The second raises KeyboardInterrupt. Called from the main thread.
    """

    def stop(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.default_int_handler)
        for stop_work in stops:
            stop_work()

    before = {number: signal.signal(number, stop) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
