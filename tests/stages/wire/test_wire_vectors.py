"""The conformance vectors, read and written here, and read by a client that knows `docs/protocol.md` alone."""

import base64
import importlib.util
import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from hamba_core.errors import WireError
from stages import wire

FOLDER = Path(__file__).parent / "vectors"
NAMES = sorted(path.stem for path in FOLDER.glob("*.bin"))
GOOD = [name for name in NAMES if not name.startswith("refuse_")]
BAD = [name for name in NAMES if name.startswith("refuse_")]


def read(name: str) -> tuple[bytes, dict[str, Any]]:
    return (FOLDER / f"{name}.bin").read_bytes(), json.loads((FOLDER / f"{name}.json").read_text())


def test_the_files_are_what_their_script_makes() -> None:
    specification = importlib.util.spec_from_file_location("make_vectors", FOLDER / "make_vectors.py")
    assert specification
    assert specification.loader
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    made: Callable[[], Iterator[tuple[str, bytes, dict[str, Any]]]] = script.vectors
    names = []
    for name, message, expected in made():
        assert (FOLDER / f"{name}.bin").read_bytes() == message
        assert (FOLDER / f"{name}.json").read_text() == script.json_text(expected)
        names.append(name)
    assert sorted(names) == NAMES


@pytest.mark.parametrize("name", GOOD)
def test_a_vector_is_read_as_its_json_says_and_written_again_byte_for_byte(name: str) -> None:
    message, expected = read(name)
    decoded = wire.decode(message)
    assert decoded.topic == expected["topic"]
    form: wire.VertexForm = "float16" if "float16" in name else "none" if "without_vertices" in name else "float32"
    known = read("hands")[0] if "unknown" in name else message
    if name.startswith(("version_1_", "version_2_")):
        assert wire.decode(wire.encode(decoded)).topic == decoded.topic, "what was read is written as this version"
    else:
        assert wire.encode(decoded, form) == known


def test_a_hand_of_version_1_is_a_seen_one_of_unknown_quality() -> None:
    message = wire.decode(read("version_1_hands")[0])
    assert isinstance(message, wire.HandsMessage)
    for hand in message.result.hands:
        assert hand.seen
        assert (hand.quality, hand.translation_std, hand.visibility) == (None, None, None)


def test_a_hand_tells_whether_it_was_seen_and_how_well_it_is_known() -> None:
    message = wire.decode(read("hands")[0])
    assert isinstance(message, wire.HandsMessage)
    right, left = message.result.hands
    assert (right.seen, right.quality, left.seen, left.quality) == (True, 0.875, False, 0.0)
    assert right.translation_std is not None
    assert right.visibility is not None
    assert left.translation_std is None


@pytest.mark.parametrize("version", [1, 2])
def test_older_messages_have_neither_a_world_nor_events(version: int) -> None:
    message = wire.decode(read(f"version_{version}_hands")[0])
    assert isinstance(message, wire.HandsMessage)
    assert message.result.frame.world is None
    assert message.result.events == ()


def test_a_message_tells_where_the_camera_stands_and_what_hands_do() -> None:
    message = wire.decode(read("hands_in_world")[0])
    assert isinstance(message, wire.HandsMessage)
    world = message.result.frame.world
    assert world is not None
    assert (world.origin, world.seen, world.age, world.error) == ("board", False, 0.125, 0.375)
    assert world.points(np.array([0.0, 0.0, 2.0])).tolist() == [0.5, -2.25, 1.75], "two metres before the camera"
    pinch, opened, thumb = message.result.events
    assert (pinch.kind, pinch.phase, pinch.confidence, pinch.held) == ("pinch", "start", 0.875, 0.0)
    assert (opened.kind, opened.phase, opened.held) == ("open", "end", 1.5)
    assert (thumb.track_id, thumb.side, thumb.kind) == (2, "left", "thumbs_up")


@pytest.mark.parametrize("name", BAD)
def test_a_vector_to_refuse_is_refused(name: str) -> None:
    with pytest.raises(WireError):
        wire.decode(read(name)[0])


@pytest.mark.parametrize("name", GOOD)
def test_a_client_that_knows_only_the_page_reads_the_same(name: str) -> None:
    """Plain MessagePack and `struct`, as `docs/protocol.md` tells it."""
    message, expected = read(name)
    topic, nul, content = message.partition(b"\0")
    assert nul
    assert topic.decode() == expected["topic"]
    assert_contains(msgspec.msgpack.decode(content), expected["map"])


def assert_contains(decoded: Any, expected: Any) -> None:
    """Whether everything expected is there; unknown fields may be too."""
    if isinstance(expected, dict) and set(expected) == {"t", "s", "values"}:
        letter = {"f4": "f", "f2": "e", "f8": "d", "u2": "H", "u4": "I", "i4": "i"}[expected["t"][1:]]
        count = 1
        for n in decoded["s"]:
            count *= n
        assert (decoded["t"], decoded["s"]) == (expected["t"], expected["s"])
        assert list(struct.unpack(f"<{count}{letter}", decoded["b"])) == expected["values"]
    elif isinstance(expected, dict) and set(expected) == {"base64"}:
        assert decoded == base64.b64decode(expected["base64"])
    elif isinstance(expected, dict):
        for key, value in expected.items():
            assert_contains(decoded[key], value)
    elif isinstance(expected, list):
        for one, other in zip(decoded, expected, strict=True):
            assert_contains(one, other)
    else:
        assert decoded == expected
        assert type(decoded) is type(expected)
