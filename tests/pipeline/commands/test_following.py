"""view, web, record and play as a person starts them: each its own process, ended by Ctrl-C."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.commands.cli import app
from pipeline.terminal import run_app
from stages.packets import FrameResult, RunInfo
from stages.recording import Recorder, read_recording
from viewers.client import HandClient

MakeStage = Callable[..., Any]
MakeResult = Callable[..., FrameResult]
Until = Callable[..., None]


class Command:
    """A `hamba` command at a terminal."""

    def __init__(self, *arguments: str, env: dict[str, str] | None = None) -> None:
        ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from pipeline.commands.cli import main; main()", *arguments],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env={**(env or os.environ), "TERM": "xterm", "COLUMNS": "120"},
        )
        os.close(theirs)
        os.set_blocking(ours, False)
        self._terminal = ours
        self._seen = ""

    def seen(self) -> str:
        """What has been on the terminal so far, without the codes that move the cursor."""
        try:
            while data := os.read(self._terminal, 65536):
                self._seen += data.decode(errors="replace")
        except OSError:  # nothing more now, or the process has gone
            pass
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._seen)

    def interrupt(self) -> int:
        """Ctrl-C; gives the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self._terminal)


@pytest.fixture
def command() -> Iterator[Callable[..., Command]]:
    started: list[Command] = []

    def start(*arguments: str, env: dict[str, str] | None = None) -> Command:
        started.append(Command(*arguments, env=env))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def recording(tmp_path: Path, make_run: Callable[..., RunInfo], make_result: MakeResult) -> Path:
    """A folder with a recording of 30 frames in a second."""
    recorder = Recorder(tmp_path / "out" / "hands.mcap")
    recorder.open(make_run())
    for index in range(30):
        recorder.write(make_result(index))
    recorder.close()
    return tmp_path / "out"


def says(one: Command, words: str, stage: Any = None, result: FrameResult | None = None) -> Callable[[], bool]:
    """Whether these words (a pattern) have come, while hands are published."""

    def said() -> bool:
        assert one.process.poll() is None, one.seen()
        if stage is not None and result is not None:
            stage.show(result)
            time.sleep(0.02)
        return re.search(words, one.seen()) is not None

    return said


def test_view_follows_a_publisher_that_comes_goes_and_comes_back(
    screen: dict[str, str],
    command: Callable[..., Command],
    make_stage: MakeStage,
    make_result: MakeResult,
    until: Until,
) -> None:
    first = make_stage()
    address = first.address
    first.publisher.close()
    view = command("view", address, env=screen)
    until(says(view, "waiting for a publisher at tcp"), 60)
    second = make_stage(address)
    until(says(view, "2 hands", second, make_result(0)), 60)
    assert re.search(r"running  \d+\.\d frames/s  latency \d+ ms  2 hands  0 lost", view.seen())
    second.leave("ended")
    until(says(view, "ended, waiting for the next at tcp"))
    third = make_stage(address)
    until(says(view, "1 hand ", third, make_result(0, 1)))
    assert view.interrupt() == 0
    assert "Traceback" not in view.seen()


def test_web_tells_where_its_page_is_and_ends_by_ctrl_c(
    command: Callable[..., Command], make_stage: MakeStage, make_result: MakeResult, until: Until
) -> None:
    pytest.importorskip("viser", reason="needs viser: pip install 'hamba-stream[web]'")
    stage = make_stage()
    web = command("web", stage.address, "--port", "0")
    until(says(web, "2 hands", stage, make_result(0)), 60)
    assert re.search(r"open http://127\.0\.0\.1:\d+ in a browser", web.seen())
    assert "anyone who reaches" not in web.seen()
    assert web.interrupt() == 0
    assert "Traceback" not in web.seen()


def test_a_page_for_the_whole_network_has_a_token_or_is_warned_about(
    command: Callable[..., Command], until: Until
) -> None:
    pytest.importorskip("viser", reason="needs viser: pip install 'hamba-stream[web]'")
    web = command("web", "--port", "0", "--host", "0.0.0.0")
    until(says(web, r"open http://0\.0\.0\.0:\d+/\?token=\S{20,} in a browser"), 60)
    assert "anyone who reaches" not in web.seen()
    open_to_all = command("web", "--port", "0", "--host", "0.0.0.0", "--no-token")
    until(says(open_to_all, "anyone who reaches http://0.0.0.0:"), 60)


def test_record_ends_by_ctrl_c_with_a_whole_recording_and_a_report(
    command: Callable[..., Command], make_stage: MakeStage, make_result: MakeResult, until: Until, tmp_path: Path
) -> None:
    stage = make_stage()
    record = command("record", stage.address, "--out", str(tmp_path / "rec"))
    until(says(record, r"[5-9] frames recorded|\d\d frames recorded", stage, make_result(0)), 60)
    assert record.interrupt() == 0
    seen = record.seen()
    assert "receive" in seen
    assert "stopped: " in seen
    assert len(list(read_recording(tmp_path / "rec/hands.mcap").results())) >= 5
    again = command("record", stage.address, "--out", str(tmp_path / "rec"))
    assert again.process.wait(30) == 2
    assert "--overwrite" in again.seen()


def test_record_that_is_ended_before_anything_came_says_so_and_leaves_nothing(
    command: Callable[..., Command], until: Until, tmp_path: Path
) -> None:
    record = command("record", "ipc:///tmp/hamba-nobody", "--out", str(tmp_path / "rec"))
    until(says(record, "waiting for a publisher"))
    assert record.interrupt() == 0
    assert "nothing was recorded: nothing came from ipc:///tmp/hamba-nobody" in record.seen()
    assert not (tmp_path / "rec").exists()


def test_record_ends_with_the_run_and_reports_as_json(
    command: Callable[..., Command], make_stage: MakeStage, make_result: MakeResult, until: Until, tmp_path: Path
) -> None:
    stage = make_stage()
    record = command("record", stage.address, "--out", str(tmp_path), "--json")

    def begun() -> bool:
        stage.show(make_result(0))
        time.sleep(0.02)
        return (tmp_path / "hands.mcap").exists()

    until(begun, 60)
    stage.leave("ended")
    assert record.process.wait(30) == 0
    assert record.process.stdout is not None
    [report] = json.loads(record.process.stdout.read())["recordings"]
    assert report["state"] == "ended"
    assert [one["name"] for one in report["stages"]] == ["receive", "record"]
    assert report["stages"][0]["dropped"] == {"lost": 0}


def test_play_publishes_a_recording_until_its_end(
    command: Callable[..., Command], recording: Path, until: Until, make_stage: MakeStage, make_result: MakeResult
) -> None:
    free = make_stage()
    free.publisher.close()
    play = command("play", str(recording), "--loop", "--rate", "4", "--publish", free.address)
    with HandClient(free.address) as client:
        until(lambda: client.alive and client.received > 40, 60)
        assert client.lost == 0
        assert client.model is not None
        assert client.newest is not None
        assert len(client.newest.result.hands) == 2
        assert client.newest.result.frame.index > 30
        assert play.interrupt() == 0
        until(lambda: client.state == "stopped")
    once = command("play", str(recording / "hands.mcap"), "--rate", "10", "--publish", free.address)
    assert once.process.wait(60) == 0
    assert "ended: 30 frames" in once.seen()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["play", "nowhere.mcap"], "expected a readable recording"),
        (["play", "nowhere.mcap", "--rate", "0"], "--rate: expected a factor between"),
        (["view", "nonsense"], "nonsense: expected an address such as"),
        (["record", "nonsense", "--out", "{}/x"], "cannot connect to 'nonsense'"),
        (["web", "--server-key", "x.key"], "CURVE needs two files"),
    ],
)
def test_what_cannot_work_is_told_without_a_traceback(
    command: Callable[..., Command], arguments: list[str], message: str, tmp_path: Path
) -> None:
    one = command(*(argument.format(tmp_path) for argument in arguments))
    assert one.process.wait(60) == 2
    assert message in " ".join(one.seen().split())
    assert "Traceback" not in one.seen()


@pytest.mark.parametrize("name", ["web", "view", "osc", "vmc", "retarget"])
def test_options_of_a_recording_and_of_a_publisher_are_not_mixed(
    name: str, recording: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    robot = ["--robot", "leap"] if name == "retarget" else []
    if name == "retarget":
        pytest.importorskip("dexi_rs", reason="needs dexi-rs: pip install 'hamba-stream[robots]'")
    if name in ("osc", "vmc"):
        pytest.importorskip("pythonosc", reason="needs python-osc: pip install 'hamba-stream[avatars]'")
    if name == "web":
        pytest.importorskip("viser", reason="needs viser: pip install 'hamba-stream[web]'")
    assert run_app(app, [name, "tcp://127.0.0.1:5999", "--take", "2", *robot]) == 2
    assert "--take: expected a recording, which may have several" in capfd.readouterr().err
    assert run_app(app, [name, str(recording), "--server-key", "a.key", "--client-key", "b.key_secret", *robot]) == 2
    assert "--server-key and --client-key: expected the address of a publisher" in capfd.readouterr().err
