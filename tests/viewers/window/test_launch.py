"""The window beside a run, as a process of its own."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from stages.packets import FrameResult
from viewers.window.launch import connectable, viewer_process


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("bound", "to"),
    [
        ("tcp://127.0.0.1:5557", "tcp://127.0.0.1:5557"),
        ("tcp://*:5557", "tcp://127.0.0.1:5557"),
        ("tcp://0.0.0.0:7", "tcp://127.0.0.1:7"),
        ("tcp://[::]:5557", "tcp://[::1]:5557"),
        ("tcp://192.168.0.7:5557", "tcp://192.168.0.7:5557"),
        ("ipc:///tmp/hands", "ipc:///tmp/hands"),
    ],
)
def test_the_window_connects_to_what_was_bound_on_this_machine(bound: str, to: str) -> None:
    assert connectable(bound) == to


def test_the_window_follows_the_run_and_closes_with_it(
    screen: dict[str, str],
    make_stage: Callable[..., Any],
    make_result: Callable[..., FrameResult],
    until: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stage = make_stage()
    with caplog.at_level(logging.WARNING), viewer_process(stage.address) as process:
        # The window has subscribed once the model went out; it goes on while hands come.
        subscribed = stage.publisher._socket

        def joined() -> bool:
            return bool(subscribed.poll(10)) or process.poll() is not None

        until(joined)
        for index in range(5):
            stage.show(make_result(index))
        assert process.poll() is None
    assert process.returncode is not None
    assert not caplog.text


def test_a_window_that_cannot_open_is_warned_about_and_disturbs_nothing(
    monkeypatch: pytest.MonkeyPatch, until: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with caplog.at_level(logging.WARNING), viewer_process("tcp://127.0.0.1:5") as process:
        until(lambda: process.poll() is not None, 60)
    assert "cannot open a window" in caplog.text


def test_the_window_closes_when_the_run_is_killed(screen: dict[str, str], until: Callable[..., None]) -> None:
    script = (
        "import sys, time\nfrom viewers.window.launch import viewer_process\n"
        "with viewer_process('tcp://127.0.0.1:5') as process:\n"
        "    print(process.pid, flush=True)\n    time.sleep(60)"
    )
    run = subprocess.Popen([sys.executable, "-c", script], env=screen, stdout=subprocess.PIPE, text=True)
    assert run.stdout is not None
    window = int(run.stdout.readline())
    run.stdout.close()
    assert exists(window)
    run.send_signal(signal.SIGKILL)
    run.wait()
    until(lambda: not exists(window), 60)
