"""How every test runs: with the same random numbers, in its time, in ordinary scheduling."""

import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import settings

pytest_plugins = [f"tests.fixtures.{name}" for name in ("hands", "releases", "publishing", "clips", "surroundings")]

# An example that is slow because the machine is busy is no failure; pytest's own time-out is the limit.
settings.register_profile("exploring", deadline=None)
# The same examples each time, so that a change is judged by what it changed; `make test-slow` looks for new ones.
settings.register_profile("settled", deadline=None, derandomize=True)
settings.load_profile("settled")

# Ignored in a shell's background job, and then in the programs that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _the_same_numbers() -> None:
    """Give torch's random numbers the same seed before each test, whichever tests ran before."""
    if (torch := sys.modules.get("torch")) is not None and hasattr(torch, "manual_seed"):
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _no_real_time() -> Iterator[None]:
    """Fail a test that puts the tests' thread into real time, as an encoder may do for root: all else would starve."""
    yield
    if hasattr(os, "sched_getscheduler") and (policy := os.sched_getscheduler(0)) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        pytest.fail(f"the test left its thread with scheduling policy {policy}")


class OutOfTimeError(BaseException):
    """A test took too long. It is none of the failures that Hypothesis catches to look for a shorter example."""


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Any) -> Iterator[None]:
    """Let the signal that ends a test that takes too long come again where something catches the first."""
    done = yield
    fail = signal.getsignal(signal.SIGALRM)
    if settings.method == "signal" and callable(fail):

        def end(number: int, frame: FrameType | None) -> None:
            try:
                fail(number, frame)
            except pytest.fail.Exception as failure:
                raise OutOfTimeError(failure.msg) from None

        signal.signal(signal.SIGALRM, end)
        signal.setitimer(signal.ITIMER_REAL, settings.timeout, 10)
    return done


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Stop the clock of a test that has failed: writing the report takes long on a busy machine, and is no test."""
    if call.excinfo is not None:
        item.ihook.pytest_timeout_cancel_timer(item=item)
