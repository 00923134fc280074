"""Native chatter is held back; everything else comes through, in order."""

import os
import threading
from pathlib import Path

import pytest

from stages.common.native_log import chatter_held_back

CHATTER = b"""INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
WARNING: Logging before InitGoogle() is written to STDERR
W0000 00:00:1795255638.551630    8191 inference_feedback_manager.cc:121] Feedback manager requires a model
I0000 00:00:1795255638.551630    8191 gl_context_egl.cc:85] Successfully initialized EGL
"""


def test_chatter_is_dropped_and_the_rest_follows_in_order(capfd: pytest.CaptureFixture[str]) -> None:
    with chatter_held_back():
        os.write(2, b"one\n" + CHATTER + b"E0000 00:00:1 7 graph.cc:1] broken\n")
        os.write(2, b"no line end")
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "one\nE0000 00:00:1 7 graph.cc:1] broken\nno line end"
    os.write(2, CHATTER)
    assert capfd.readouterr().err == CHATTER.decode(), "only while the block runs"


def test_what_was_written_comes_through_when_the_block_raises(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="stop"), chatter_held_back():  # noqa: PT012
        os.write(2, CHATTER + b"reason\n")
        raise RuntimeError("stop")
    assert capfd.readouterr().err == "reason\n"


def test_blocks_in_several_threads_lose_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    def work(number: int) -> None:
        for _ in range(20):
            with chatter_held_back():
                os.write(2, f"line {number}\n".encode() + CHATTER)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(capfd.readouterr().err.splitlines()) == sorted(f"line {i}" for i in range(4) for _ in range(20))


def test_it_leaves_no_file_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with chatter_held_back():
            pass
    assert len(list(Path("/proc/self/fd").iterdir())) == before
