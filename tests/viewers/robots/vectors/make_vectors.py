"""Writes the conformance vectors of robots' messages: `python tests/viewers/robots/vectors/make_vectors.py`.

Each `x.bin` is a message as it travels. Beside it `x.json` says what a client must make of it: `{"topic", "map"}`; or
`{"error"}`, the reason why a client must refuse it. Fields of `x.bin` that are not in `x.json` are to be ignored.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hamba_core.view import Intrinsics
from stages.packets import ClockAnchor, FrameMeta
from viewers.robots.retarget.messages import RobotMessage, encode, robot_message
from viewers.robots.retarget.retargeter import RobotFrame, RobotHandState

FOLDER = Path(__file__).parent
CLOCK = ClockAnchor(monotonic_ns=5_000_000_000, unix_ns=1_767_225_600_000_000_000)
FRAME = FrameMeta("desk.cam-1", 90, 3.0, 8_000_000_000, 640, 480, Intrinsics(554.25, 554.25, 320, 240, estimated=True))
QUARTER = np.array([[0.0, -1, 0, 0.25], [1, 0, 0, 0.5], [0, 0, 1, 0.75], [0, 0, 0, 1]])


def message(reference: Any = "camera", *hands: RobotHandState) -> RobotMessage:
    names: Any = {"right": ("thumb", "index"), "left": ("left_thumb", "left_index")}
    return robot_message(7, "example", RobotFrame(FRAME, reference, hands), names, 8_025_000_000, CLOCK)


def good() -> Iterator[tuple[str, bytes]]:
    """Messages to understand: name and bytes."""
    left = RobotHandState("left", "holding", None, np.array([0.0, 0.5]), np.zeros(2), False, 0.03125, None, np.eye(4))
    right = RobotHandState(
        "right", "following", 3, np.array([0.25, 1.5]), np.array([-0.5, 2.0]), True, 0.03125, QUARTER, QUARTER
    )
    yield "robot", encode(message("camera", left, right))
    yield "robot_world", encode(message("world", right))
    yield "robot_none", encode(message())


def changed(name: str, path: tuple[str | int, ...], value: Any) -> bytes:
    """A good message with one value of its map set to another."""
    topic, _, content = dict(good())[name].partition(b"\0")
    tree = node = msgspec.msgpack.decode(content)
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return topic + b"\0" + msgspec.msgpack.encode(tree)


def bad() -> Iterator[tuple[str, bytes, str]]:
    """Messages to refuse: name, bytes and the reason."""
    right = ("hands", 1)
    yield "refuse_version", changed("robot", ("v",), 2), "a newer version"
    yield "refuse_length", changed("robot", (*right, "positions"), [0.0]), "fewer positions than names"
    yield "refuse_nan", changed("robot", (*right, "velocities"), [0.0, float("nan")]), "not finite"
    yield "refuse_state", changed("robot", (*right, "state"), "dancing"), "a state that this version does not have"
    yield "refuse_turn", changed("robot", (*right, "target", "orientation"), [0.0, 0, 0, 2]), "no unit quaternion"
    yield "refuse_stream", changed("robot", ("stream",), "other"), "another stream than in the topic"
    yield "refuse_topic", b"hands" + dict(good())["robot"][5:], "a topic that is not robot/"
    yield "refuse_cut", dict(good())["robot"][:-3], "cut"


def vectors() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Every vector: name, bytes, and what its JSON says."""
    for name, content in good():
        topic, _, body = content.partition(b"\0")
        expected = {"topic": topic.decode(), "map": msgspec.msgpack.decode(body)}
        yield name, content, expected
        if name == "robot":
            yield "robot_with_unknown_field", changed("robot", ("hands", 1, "grip"), {"firm": True}), expected
    for name, content, reason in bad():
        yield name, content, {"error": reason}


def json_text(expected: dict[str, Any]) -> str:
    """The text of a vector's JSON file."""
    return json.dumps(expected, indent=1) + "\n"


if __name__ == "__main__":
    for name, content, expected in vectors():
        (FOLDER / f"{name}.bin").write_bytes(content)
        (FOLDER / f"{name}.json").write_text(json_text(expected))
