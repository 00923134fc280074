"""The examples in docs/examples run as they stand."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.common.palette import hand_colour
from stages.packets import FrameResult, Hand, HandEvent, WorldPose
from stages.world.pose_file import read_pose

EXAMPLES = Path(__file__).parents[2] / "docs/examples"

MakeHand = Callable[..., Hand]
MakeResult = Callable[..., FrameResult]
MakeStage = Callable[..., Any]


class Example:
    """An example as a process; its lines as they come."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._seen = ""

    def lines(self) -> list[str]:
        """Whole lines so far."""
        assert self.process.stdout is not None
        self._seen += (self.process.stdout.read() or b"").decode()
        assert self.process.poll() is None, self.process.stderr.read() if self.process.stderr else ""
        return self._seen.splitlines()[: self._seen.count("\n")]

    def end(self) -> None:
        """As Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        _, errors = self.process.communicate(timeout=60)
        assert (self.process.returncode, errors) == (0, b"")


@pytest.fixture
def example() -> Iterator[Callable[..., Example]]:
    started: list[Example] = []

    def start(*arguments: str) -> Example:
        started.append(Example(*arguments))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.communicate()


def publishing(stage: Any, result: FrameResult, condition: Callable[[], bool]) -> Callable[[], bool]:
    def check() -> bool:
        stage.show(result)
        time.sleep(0.02)
        return condition()

    return check


def test_01_prints_the_fingertips(
    example: Callable[..., Example], make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    stage, result = make_stage(), make_result(0)
    one = example("01_print_joints.py", stage.address)
    until(publishing(stage, result, lambda: len(one.lines()) >= 4))
    rights = [line for line in one.lines() if line.split()[1] == "right"]
    numbers = [float(word) for word in re.findall(r"-?\d+\.\d", rights[0])]
    np.testing.assert_allclose(numbers, result.hands[0].joints[4::4].ravel() * 100, atol=0.06)
    one.end()


def test_01_ends_quietly_where_its_lines_are_no_longer_read(make_stage: MakeStage, make_result: MakeResult) -> None:
    stage, result = make_stage(), make_result(0)
    program = subprocess.Popen(
        [sys.executable, EXAMPLES / "01_print_joints.py", stage.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    head = subprocess.Popen(["head", "-n", "2"], stdin=program.stdout, stdout=subprocess.PIPE, text=True)
    assert program.stdout is not None
    program.stdout.close()
    deadline = time.monotonic() + 60
    while program.poll() is None:
        assert time.monotonic() < deadline, "it goes on though nobody reads"
        stage.show(result)
        time.sleep(0.02)
    assert len(head.communicate()[0].splitlines()) == 2
    assert program.stderr is not None
    assert program.stderr.read() == ""
    program.stderr.close()


def test_02_commands_the_gripper_from_the_pinch(
    example: Callable[..., Example], make_stage: MakeStage, make_hand: MakeHand, make_result: MakeResult,
    until: Callable[..., None],
) -> None:  # fmt: skip
    stage = make_stage()
    one = example("02_gripper_from_pinch.py", stage.address)
    until(lambda: any("no publisher" in line for line in one.lines()))
    hand = make_hand(0, "right")
    pinch = float(np.linalg.norm(hand.joints[4] - hand.joints[8]))
    wanted = f"gripper {min(1, max(0, (pinch - 0.02) / 0.08)):.2f}  following"
    until(publishing(stage, make_result(0, (hand,)), lambda: wanted in one.lines()))
    until(publishing(stage, make_result(0, 0), lambda: one.lines()[-1] == wanted.replace("following", "holding")))
    one.end()


def test_03_shows_the_hands_in_a_page(
    example: Callable[..., Example], make_stage: MakeStage, make_result: MakeResult, browser: Any,
    of_color: Callable[..., Any], until: Callable[..., None],
) -> None:  # fmt: skip
    pytest.importorskip("websockets", reason="needs websockets: pip install websockets")
    stage, result = make_stage(), make_result(0)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one = example("03_browser_bridge.py", stage.address, str(port))
    until(lambda: bool(one.lines()))
    browser.open(one.lines()[0].removeprefix("open "))
    until(publishing(stage, result, lambda: "2 hands" in browser.text()), 40)
    picture = browser.look()
    scale = min(picture.shape[1] / 640, picture.shape[0] / 480)
    corner = ((picture.shape[1] - 640 * scale) / 2, (picture.shape[0] - 480 * scale) / 2)
    for hand in result.hands:
        mask = of_color(picture, hand_colour(hand.side))
        inside = (hand.joints_2d >= 8).all(1) & (hand.joints_2d <= np.array([632, 472])).all(1)
        x, y = (hand.joints_2d[inside] * scale + corner).astype(int).T
        assert inside.sum() >= 5
        assert mask[y, x].mean() > 0.9
    browser.open("about:blank")
    from websockets.sync.client import connect

    with connect(f"ws://127.0.0.1:{port}/webxr", origin=f"http://127.0.0.1:{port}") as page:  # type: ignore[arg-type]
        frames: list[Any] = []

        def came() -> bool:
            with suppress(TimeoutError):
                frames.append(json.loads(page.recv(timeout=0.05)))
            return bool(frames)

        until(publishing(stage, result, came))
        tip = frames[0]["hands"][0]["joints"]["index-finger-tip"]["position"]
        np.testing.assert_allclose(tip, result.hands[0].joints[8] * [1, -1, -1], atol=1e-4)
    socket.create_connection(("127.0.0.1", port)).close()  # as browsers do with their spare connections
    one.end()


def test_04_prints_starts_and_ends_and_no_uncertain_start(
    example: Callable[..., Example], make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    stage, result = make_stage(), make_result(0)
    events = (
        HandEvent(1, "right", "pinch", "start", 0.9, 0.0),
        HandEvent(1, "right", "pinch", "hold", 0.9, 0.5),
        HandEvent(1, "left", "grab", "start", 0.3, 0.0),
        HandEvent(1, "left", "open", "end", 0.1, 1.25),
    )
    one = example("04_events.py", stage.address)
    until(publishing(stage, replace(result, events=events), lambda: len(one.lines()) >= 4))
    assert one.lines()[:2] == [
        "right pinch start, 0.00 s, confidence 0.90",
        "left open end, 1.25 s, confidence 0.10",
    ]
    assert not any("grab" in line or "hold" in line for line in one.lines())
    one.end()


def test_05_prints_wrists_in_the_world_and_passes_over_frames_without(
    example: Callable[..., Example], make_stage: MakeStage, make_result: MakeResult, until: Callable[..., None]
) -> None:
    stage, result = make_stage(), make_result(0)
    T_world_camera = read_pose(EXAMPLES / "05_pose.yaml", "hands")
    there = replace(result, frame=replace(result.frame, world=WorldPose(T_world_camera, "file")))
    one = example("05_world.py", stage.address)
    until(publishing(stage, there, lambda: len(one.lines()) >= 4))
    x, y, z = T_world_camera[:3, :3] @ result.hands[0].joints[0] + T_world_camera[:3, 3]
    assert one.lines()[0].endswith(f"{result.hands[0].side}  {x:+.3f} {y:+.3f} {z:+.3f} m  by file")
    before = len(one.lines())
    for _ in range(20):
        stage.show(result)
        time.sleep(0.01)
    stage.show(there)
    until(lambda: len(one.lines()) > before)
    one.end()
