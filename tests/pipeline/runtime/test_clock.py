"""Bells and clocks."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from pipeline.runtime.clock import Bell, MonotonicClock, SimulatedClock

PATIENCE = 30.0


def _sleeper(clock: MonotonicClock | SimulatedClock, bell: Bell, deadline_ns: int) -> threading.Thread:
    thread = threading.Thread(target=clock.wait_until, args=(bell, deadline_ns), daemon=True)
    thread.start()
    return thread


def test_a_bell_rung_before_the_wait_is_not_lost() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    bell.wait()  # would never return


@pytest.mark.parametrize("clock", [MonotonicClock(), SimulatedClock()])
def test_a_ring_ends_the_wait_before_its_time(clock: MonotonicClock | SimulatedClock) -> None:
    bell = Bell()
    thread = _sleeper(clock, bell, clock.now_ns() + 10**15)
    bell.ring()
    thread.join(PATIENCE)
    assert not thread.is_alive()


@pytest.mark.skipif(sys.platform == "win32", reason="there processes are not stopped by a signal")
def test_the_machines_clock_notices_that_the_process_was_paused() -> None:
    script = (
        "from pipeline.runtime.clock import Bell, MonotonicClock\n"
        "clock = MonotonicClock()\n"
        "print('waits', flush=True)\n"
        "while not clock.resumed_ns: clock.wait_until(Bell(), 10**30)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waits\n"
            for _ in range(8):  # it may have been stopped just between two waits
                process.send_signal(signal.SIGSTOP)
                time.sleep(1.3)  # what is paused cannot tell
                process.send_signal(signal.SIGCONT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.5)
                    break
            assert process.returncode == 0
        finally:
            process.kill()


def test_the_machines_clock_waits_until_the_deadline() -> None:
    clock = MonotonicClock()
    deadline = clock.now_ns() + 5_000_000
    clock.wait_until(Bell(), deadline)
    assert clock.now_ns() >= deadline


def test_the_machines_clock_comes_back_before_a_far_deadline_so_that_signals_are_handled() -> None:
    clock = MonotonicClock()
    clock.wait_until(Bell(), clock.now_ns() + 10**18)  # would never return


def test_a_deadline_that_has_passed_is_not_waited_for() -> None:
    clock = MonotonicClock()
    clock.wait_until(Bell(), clock.now_ns() - 1)
    simulated = SimulatedClock(7)
    simulated.wait_until(Bell(), 7)


def test_simulated_time_stands_still_until_it_is_moved_and_wakes_who_waits() -> None:
    clock = SimulatedClock(1_000)
    thread = _sleeper(clock, Bell(), 2_000_001_000)
    assert clock.now_ns() == 1_000
    clock.advance(1.5)
    clock.advance(0.5)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert clock.now_ns() == 2_000_001_000
