"""`hamba retarget` as a person and a robot's program use it."""

import csv
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
import zmq

from pipeline.commands.cli import app
from pipeline.terminal import run_app
from stages.packets import FrameResult, RunInfo
from stages.recording import Recorder
from viewers.robots.retarget import decode

pytest.importorskip("dexi_rs", reason="needs dexi-rs: pip install 'hamba-stream[robots]'")

EXAMPLE = Path(__file__).parents[3] / "docs/examples/06_robot_hand.py"


def hamba(*arguments: str | Path) -> int:
    return run_app(app, [str(argument) for argument in arguments])


@pytest.fixture
def folder(make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult], tmp_path: Path) -> Path:
    """A run's folder, with a recording of two hands in it; the left one goes away."""
    recorder = Recorder(tmp_path / "clip" / "hands.mcap")
    recorder.open(make_run())
    for index in range(12):
        recorder.write(make_result(index, hands=2 if index < 8 else 1))
    recorder.close()
    return tmp_path / "clip"


@pytest.mark.skipif(sys.platform != "linux", reason="limits of file sizes are as Linux has them")
def test_what_the_disk_has_no_room_for_leaves_what_was_there(folder: Path) -> None:
    """A limit of the size of files stands for the full disk."""
    old = folder / "hands.svh.npz"
    old.write_bytes(b"an earlier one")
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000)); "
        "from pipeline.commands.cli import main; main()"
    )
    command = [sys.executable, "-c", limited, "retarget", str(folder), "--robot", "svh", "--overwrite"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "hands.svh.npz: expected to be able to write, found: File too large" in done.stderr
    assert {path.name for path in folder.iterdir()} == {"hands.mcap", "hands.svh.npz"}
    assert old.read_bytes() == b"an earlier one"


def test_a_recording_becomes_arrays_and_tables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert hamba("retarget", folder, "--robot", "svh", "--json", "--reach") == 0
    said = json.loads(capsys.readouterr().out)
    assert [Path(path).name for path in said["written"]] == [
        "hands.svh.npz", "hands.svh-left.csv", "hands.svh-right.csv",
    ]  # fmt: skip
    right = said["sides"]["right"]
    assert right["frames"] == 12
    assert 0 < right["reachable"] <= right["solved_there"]
    with np.load(folder / "hands.svh.npz") as data:
        assert data["frames"].tolist() == list(range(12))
        names, positions = data["left/names"], data["left/positions"]
        assert positions.shape == (12, 20)
        assert [str(data["states"][number]) for number in data["left/state"]] == ["following"] * 8 + ["holding"] * 4
        assert np.isnan(data["left/wrist"][8:]).all()
        assert np.isfinite(data["left/target"]).all()
    with (folder / "hands.svh-left.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["following"] * 8 + ["holding"] * 4
    table = [[float(row[str(name)]) for name in names] for row in rows]
    np.testing.assert_allclose(table, positions, atol=1e-6)
    assert hamba("retarget", folder, "--robot", "svh") == 2
    assert "not overwritten" in capsys.readouterr().err


def test_a_name_that_is_neither_recording_nor_address_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hamba("retarget", tmp_path / "nothing", "--robot", "leap", "--json") == 2
    assert "a recording or the folder of one; found no file of that name" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--robot: expected one of ability"),
        (["--robot", "leep"], "did you mean leap?"),
        (["--robot", "leap", "--side", "middle"], "--side: expected left, right, both"),
        (["--robot", "leap", "--method", "magic"], "--method: expected vector, dexpilot"),
        (["--robot", "leap", "--publish", "tcp://*:1"], "hamba play publishes one"),
        (["--robot", "hand.urdf"], "--config beside a URDF"),
    ],
)
def test_what_does_not_go_together_is_told(
    options: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hamba("retarget", folder, *options) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_live_hands_are_followed_keys_are_obeyed_and_the_example_reads_it(
    make_stage: Callable[..., Any], make_result: Callable[..., FrameResult], until: Callable[..., None]
) -> None:
    stage, result = make_stage(), make_result(0)
    terminal, theirs = pty.openpty()
    with zmq.Context() as context, context.socket(zmq.SUB) as robot:
        robot.linger = 0
        robot.subscribe("robot/")
        port = robot.bind_to_random_port("tcp://127.0.0.1")
        robot.unbind(f"tcp://127.0.0.1:{port}")
        address = f"tcp://127.0.0.1:{port}"
        robot.connect(address)
        follow = subprocess.Popen(
            [sys.executable, "-c", "from pipeline.commands.cli import main; main()", "retarget", stage.address,
             "--robot", "leap", "--publish", address, "--clutch", "key"],
            stdin=theirs, stderr=subprocess.PIPE,
        )  # fmt: skip
        example = subprocess.Popen([sys.executable, str(EXAMPLE), address], stdout=subprocess.PIPE, text=True)
        states, lines = list[str](), list[str]()
        assert example.stdout is not None
        reader = Thread(target=lines.extend, args=(example.stdout,), daemon=True)
        reader.start()

        def reaches(state: str) -> Callable[[], bool]:
            def check() -> bool:
                assert follow.poll() is None
                stage.show(result)
                time.sleep(0.02)
                while robot.poll(0):
                    message = decode(robot.recv())
                    assert message.robot == "leap"
                    assert {hand.side for hand in message.hands} == {"left", "right"}
                    states.append(message.hands[1].state)
                return bool(states) and states[-1] == state

            return check

        try:
            until(reaches("released"))
            os.write(terminal, b" ")
            until(reaches("following"))
            shown = reaches("following")
            until(lambda: shown() and any(line.startswith("right following") for line in lines))
            os.write(terminal, b" ")
            until(reaches("released"))
            follow.send_signal(signal.SIGINT)
            _, said = follow.communicate(timeout=30)
            assert (follow.returncode, "Traceback" in said.decode()) == (0, False)
            example.send_signal(signal.SIGINT)
            assert example.wait(30) == 0
        finally:
            for process in (follow, example):
                process.kill()
                process.wait()
            reader.join(10)
            for stream in (follow.stderr, example.stdout):
                if stream is not None:
                    stream.close()
            os.close(terminal)
            os.close(theirs)
