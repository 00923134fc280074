"""Writes the conformance vectors of the wire format: `python tests/stages/wire/vectors/make_vectors.py`.

Each `x.bin` is a message as it travels. Beside it `x.json` says what a client must make of it: `{"topic", "map"}`,
where an array is `{"t", "s", "values"}` with its numbers in row-major order and other bytes are `{"base64"}`; or
`{"error"}`, the reason why a client must refuse it. `x.json` holds the fields that this version knows: others in
`x.bin` are to be ignored.
"""

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from hamba_core.hand import Side
from hamba_core.view import Intrinsics
from stages import wire
from stages.packets import (
    Choice,
    ClockAnchor,
    FrameMeta,
    FrameResult,
    Hand,
    HandEvent,
    HandTopology,
    Percentiles,
    StageStatus,
    Status,
    WorldPose,
)

FOLDER = Path(__file__).parent
CLOCK = ClockAnchor(monotonic_ns=5_000_000_000, unix_ns=1_767_225_600_000_000_000)
FRAME = FrameMeta("desk.cam-1", 90, 3.0, 8_000_000_000, 640, 480, Intrinsics(554.25, 554.25, 320, 240, estimated=True))


def ramp(first: float, *shape: int) -> Any:
    """Numbers that single precision holds exactly, and half precision too if `first` is small."""
    return (first + np.arange(math.prod(shape), dtype=np.float32) / 64).reshape(shape)


def hand(track_id: int, side: Side, **extras: Any) -> Hand:
    quarter_turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)
    return Hand(
        track_id=track_id,
        side=side,
        score=0.75,
        box=ramp(100, 4),
        global_orient=quarter_turn,
        hand_pose=np.stack([quarter_turn if i % 2 else np.eye(3, dtype=np.float32) for i in range(15)]),
        betas=ramp(-0.5, 10),
        translation=ramp(0.25, 3),
        joints=ramp(0, 21, 3),
        joints_2d=ramp(200, 21, 2),
        vertices=ramp(0.5, 8, 3),
        **extras,
    )


def hands(*present: Hand) -> wire.HandsMessage:
    times = {"detect": 21_000_000, "reconstruct": 2_500_000}
    return wire.HandsMessage(87, FrameResult(FRAME, present, times), 8_025_000_000, CLOCK)


def hands_in_world() -> wire.HandsMessage:
    """Hands in a frame whose camera's place is known, and what they do."""
    T_world_camera = np.array([[0, -1, 0, 0.5], [0, 0, -1, -0.25], [1, 0, 0, 1.75], [0, 0, 0, 1]], np.float64)
    frame = replace(FRAME, world=WorldPose(T_world_camera, "board", seen=False, age=0.125, error=0.375))
    events = (
        HandEvent(1, "right", "pinch", "start", 0.875, 0.0),
        HandEvent(1, "right", "open", "end", 0.25, 1.5),
        HandEvent(2, "left", "thumbs_up", "hold", 1.0, 0.75),
    )
    present = (hand(1, "right"), hand(2, "left"))
    return wire.HandsMessage(88, FrameResult(frame, present, {}, events=events), 8_025_000_000, CLOCK)


def model() -> wire.ModelMessage:
    faces = np.array([[0, 1, 2], [1, 3, 2], [4, 5, 6], [5, 7, 6]], np.int32)
    topology = HandTopology("example", 8, faces, faces[:, ::-1])
    return wire.ModelMessage("desk.cam-1", topology, "landmarks", {"hamba-stream": "0.1.0"}, 5_100_000_000, CLOCK)


def status(state: str, reason: str) -> wire.StatusMessage:
    stage = StageStatus(
        "detect",
        90,
        87,
        {"not the newest": 2},
        1,
        Percentiles(20.5, 24.25, 31.0),
        queue_depth=0,
        queue_peak=1,
        queue_capacity=1,
    )
    nothing = Percentiles(math.nan, math.nan, math.nan)
    choice = Choice("device", "cpu", "no CUDA device was found", fallback=True)
    return wire.StatusMessage(
        Status("desk.cam-1", state, reason, 3.0, 87, 2, 29.5, nothing, (stage,), (choice,), {"detect: DeviceError": 1}),
        8_026_000_000,
        CLOCK,
    )


# A grey picture of 1 x 1.
JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAgGBgcGBQgHBwcJCQgKDBQNDAsLDBkSEw8UHRofHh0aHBwgJC4nICIsIxwcKDcpLDAxNDQ0Hyc5PT"
    "gyPC4zNDL/wAALCAABAAEBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8AP//Z"
)


def described(value: Any) -> Any:
    """A decoded value in JSON."""
    if isinstance(value, dict) and set(value) == {"t", "s", "b"}:
        array = np.frombuffer(value["b"], value["t"])
        return {"t": value["t"], "s": value["s"], "values": array.tolist()}
    if isinstance(value, dict):
        return {key: described(item) for key, item in value.items()}
    if isinstance(value, list):
        return [described(item) for item in value]
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def good() -> Iterator[tuple[str, bytes]]:
    """Messages to understand: name and bytes."""
    known = {"quality": 0.875, "translation_std": ramp(0.0625, 3), "visibility": ramp(0.25, 21)}
    both = hands(hand(1, "right", **known), hand(2, "left", seen=False, quality=0.0))
    yield "hands", wire.encode(both)
    yield "hands_none", wire.encode(hands())
    yield "hands_in_world", wire.encode(hands_in_world())
    yield "hands_float16", wire.encode(both, "float16")
    yield "hands_without_vertices", wire.encode(both, "none")
    yield "model", wire.encode(model())
    yield "status", wire.encode(status("running", ""))
    yield "status_failed", wire.encode(status("failed", "the camera is gone"))
    yield "image", wire.encode(wire.ImageMessage(FRAME, JPEG, 8_027_000_000, CLOCK))


def changed(name: str, path: tuple[str | int, ...], value: Any) -> bytes:
    """A good message with one value of its map set to another."""
    topic, _, content = dict(good())[name].partition(b"\0")
    tree = node = msgspec.msgpack.decode(content)
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return topic + b"\0" + msgspec.msgpack.encode(tree)


FIRST_HAND = (
    "id", "side", "score", "box", "translation", "global_orient", "hand_pose", "betas",
    "joints", "joints_2d", "vertices",
)  # fmt: skip
"""What a hand of version 1 has."""


THIRD = ("world", "events")
"""What a message of version 2 lacks."""


def second_version(message: bytes) -> bytes:
    """The message as version 2 had it."""
    topic, _, content = message.partition(b"\0")
    tree = {**msgspec.msgpack.decode(content), "v": 2}
    return topic + b"\0" + msgspec.msgpack.encode({key: value for key, value in tree.items() if key not in THIRD})


def first_version(message: bytes) -> bytes:
    """The message as version 1 had it."""
    topic, _, content = message.partition(b"\0")
    tree = {**msgspec.msgpack.decode(content), "v": 1}
    tree = {key: value for key, value in tree.items() if key not in THIRD}
    if "hands" in tree and isinstance(tree["hands"], list):
        tree["hands"] = [{name: of_hand[name] for name in FIRST_HAND} for of_hand in tree["hands"]]
    return topic + b"\0" + msgspec.msgpack.encode(tree)


def bad() -> Iterator[tuple[str, bytes, str]]:
    """Messages to refuse: name, bytes and the reason."""
    joints = ("hands", 0, "joints")
    yield "refuse_version", changed("hands", ("v",), wire.VERSION + 1), "a newer version"
    yield "refuse_shape", changed("hands", (*joints, "s"), [63]), "joints of another shape"
    yield "refuse_length", changed("hands", (*joints, "b"), bytes(8)), "fewer bytes than the shape says"
    yield "refuse_type", changed("hands", (*joints, "t"), "<c8"), "numbers of another type"
    yield "refuse_nan", changed("hands", (*joints, "b"), np.full(63, np.nan, "<f4").tobytes()), "not finite"
    yield "refuse_side", changed("hands", ("hands", 0, "side"), "middle"), "neither left nor right"
    world, event = ("world", "T_world_camera"), ("events", 0)
    stretched = (2 * np.eye(4)).astype("<f8").tobytes()
    yield "refuse_world", changed("hands_in_world", (*world, "b"), stretched), "a world pose that is not rigid"
    yield "refuse_event", changed("hands_in_world", (*event, "kind"), "wink"), "an event that is not known"
    yield "refuse_phase", changed("hands_in_world", (*event, "phase"), "middle"), "a phase that is not known"
    yield "refuse_stream", changed("hands", ("stream",), "other"), "another stream than in the topic"
    yield "refuse_faces", changed("model", ("vertices",), 7), "a face names a vertex that is not there"
    yield "refuse_huge", dict(good())["hands"].partition(b"\0")[0] + b"\0\x81\xa5hands\xdd\xff\xff\xff\xff", "truncated"
    yield "refuse_topic", b"feet" + dict(good())["hands"][5:], "a topic that this version does not have"
    yield "refuse_no_nul", b"hands/desk.cam-1", "no NUL byte after the topic"


def vectors() -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """Every vector: name, bytes, and what its JSON says."""
    for name, message in good():
        topic, _, content = message.partition(b"\0")
        expected = {"topic": topic.decode(), "map": described(msgspec.msgpack.decode(content))}
        yield name, message, expected
        if name in ("hands", "model", "status"):
            old = first_version(message)
            told = {"topic": topic.decode(), "map": described(msgspec.msgpack.decode(old.partition(b"\0")[2]))}
            yield f"version_1_{name}", old, told
            old = second_version(message)
            told = {"topic": topic.decode(), "map": described(msgspec.msgpack.decode(old.partition(b"\0")[2]))}
            yield f"version_2_{name}", old, told
        if name == "hands":
            extra = changed("hands", ("hands", 1, "mood"), {"calm": [1, b"x"]})
            yield "hands_with_unknown_field", extra, expected
    for name, message, reason in bad():
        yield name, message, {"error": reason}


def json_text(expected: dict[str, Any]) -> str:
    """The text of a vector's JSON file."""
    return json.dumps(expected, indent=1) + "\n"


if __name__ == "__main__":
    for name, message, expected in vectors():
        (FOLDER / f"{name}.bin").write_bytes(message)
        (FOLDER / f"{name}.json").write_text(json_text(expected))
