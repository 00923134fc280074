"""`hamba vmc` and `hamba osc` send a recording to who listens; the example is such a receiver."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.commands.cli import app
from pipeline.terminal import run_app
from stages.packets import FrameResult, RunInfo
from stages.recording import Recorder

pytest.importorskip("pythonosc", reason="needs python-osc: pip install 'hamba-stream[avatars]'")

EXAMPLE = Path(__file__).parents[3] / "docs/examples/08_vmc_receiver.py"
HAMBA = [sys.executable, "-c", "from pipeline.commands.cli import main; main()"]


@pytest.fixture
def recording(make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult], tmp_path: Path) -> Path:
    recorder = Recorder(tmp_path / "clip" / "hands.mcap")
    recorder.open(make_run())
    for index in range(10):
        recorder.write(make_result(index))
    recorder.close()
    return tmp_path / "clip"


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def test_the_example_receives_the_avatars_fingers(recording: Path) -> None:
    port = str(free_port())
    receiver = subprocess.Popen([sys.executable, str(EXAMPLE), port], stdout=subprocess.PIPE, text=True)
    sender = subprocess.Popen([*HAMBA, "vmc", str(recording), "--port", port], stderr=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout is not None
        lines = [receiver.stdout.readline() for _ in range(5)]
        assert "RightIndexProximal" in lines[-1]
        assert any(int(word[:-1]) > 3 for word in lines[-1].split() if word.endswith("°"))
        sender.send_signal(signal.SIGINT)
        _, said = sender.communicate(timeout=30)
        assert (sender.returncode, "Traceback" in said) == (0, False)
        assert f"sending to 127.0.0.1:{port}" in said
    finally:
        for process in (receiver, sender):
            process.kill()
            process.communicate()


def test_plain_osc_goes_on_where_nobody_listens_yet(recording: Path) -> None:
    port = free_port()
    sender = subprocess.Popen([*HAMBA, "osc", str(recording), "--port", str(port)], stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(2)  # to nobody, which the system may tell the sender
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", port))
            receiver.settimeout(30)
            data = receiver.recv(65536)
            assert data.startswith(b"#bundle\0")
            assert len(data) <= 1400
        sender.send_signal(signal.SIGINT)
        assert "Traceback" not in sender.communicate(timeout=30)[1]
        assert sender.returncode == 0
    finally:
        sender.kill()
        sender.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["osc", "--prefix", "hands"], "expected an OSC address such as /hamba"),
        (["osc", "--prefix", "/hands/"], "expected an OSC address"),
        (["vmc", "--host", "no-such-host.invalid"], "expected a host's name or address"),
    ],
)
def test_what_is_wrong_is_told(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())
