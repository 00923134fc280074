"""Robots' messages: the conformance vectors, read here and by a client that knows `docs/protocol.md` alone."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from hamba_core.errors import WireError
from viewers.robots.retarget.messages import decode, encode

FOLDER = Path(__file__).parent / "vectors"
NAMES = sorted(path.stem for path in FOLDER.glob("*.bin"))
GOOD = [name for name in NAMES if not name.startswith("refuse_")]


def read(name: str) -> tuple[bytes, dict[str, Any]]:
    return (FOLDER / f"{name}.bin").read_bytes(), json.loads((FOLDER / f"{name}.json").read_text())


def test_the_files_are_what_their_script_makes() -> None:
    specification = importlib.util.spec_from_file_location("make_robot_vectors", FOLDER / "make_vectors.py")
    assert specification
    assert specification.loader
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    names = []
    for name, message, expected in script.vectors():
        assert (FOLDER / f"{name}.bin").read_bytes() == message
        assert (FOLDER / f"{name}.json").read_text() == script.json_text(expected)
        names.append(name)
    assert sorted(names) == NAMES


@pytest.mark.parametrize("name", GOOD)
def test_a_vector_is_read_as_its_json_says_and_written_again_byte_for_byte(name: str) -> None:
    message, expected = read(name)
    decoded = decode(message)
    assert decoded.topic == expected["topic"]
    assert msgspec.to_builtins(decoded) == expected["map"]
    assert encode(decoded) == (read("robot")[0] if "unknown" in name else message)


@pytest.mark.parametrize("name", GOOD)
def test_a_client_that_knows_only_the_page_reads_the_same(name: str) -> None:
    message, expected = read(name)
    topic, nul, content = message.partition(b"\0")
    assert nul
    assert topic.decode() == expected["topic"]
    tree = msgspec.msgpack.decode(content)
    for hand in tree["hands"]:
        hand.pop("grip", None)
    assert tree == expected["map"]


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(GOOD)))
def test_a_vector_to_refuse_is_refused(name: str) -> None:
    with pytest.raises(WireError):
        decode(read(name)[0])


@given(st.binary(max_size=200))
def test_other_bytes_are_refused(data: bytes) -> None:
    for message in (data, b"robot/desk\0" + data):
        with pytest.raises(WireError):
            decode(message)


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_a_changed_byte_is_refused_or_read(place: int, value: int) -> None:
    message = bytearray(read("robot")[0])
    message[place % len(message)] = value
    try:
        decode(message)
    except WireError:
        return
    assert decode(message).v == 1


def test_unix_time_of_capture_is_told() -> None:
    assert decode(read("robot")[0]).captured_unix_ns == 1_767_225_603_000_000_000
