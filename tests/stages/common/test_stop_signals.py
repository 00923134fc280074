"""Ctrl-C, SIGTERM and SIGHUP."""

import os
import signal
from collections.abc import Iterator

import pytest

from stages.common.stop_signals import interrupted_by_signals, stopped_by_signals


@pytest.fixture(autouse=True)
def hangups() -> Iterator[None]:
    """The tests are the same under nohup, which has them ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_first_stops_and_the_second_does_not_wait(number: int) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    stopped: list[str] = []
    with stopped_by_signals(lambda: stopped.append("one"), lambda: stopped.append("two")):
        os.kill(os.getpid(), number)
        assert stopped == ["one", "two"]
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert stopped == ["one", "two"]
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_program_can_have_both_raise() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        interrupted_by_signals()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_program_under_nohup_goes_on_when_its_terminal_closes() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stopped_by_signals():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
