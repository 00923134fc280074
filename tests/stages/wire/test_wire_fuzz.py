"""Mutated messages: an error or a right value, never a crash, a hang or more memory than their size accounts for."""

import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import msgspec
import numpy as np
import pytest

from hamba_core.errors import WireError
from stages import wire
from stages.packets import Choice, ClockAnchor, FrameResult, HandTopology, Percentiles, StageStatus, Status

CLOCK = ClockAnchor(1, 2)
HOSTILE = (
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01", b"\xcb\x7f\xf8" + bytes(6), b"\xcb\x7f\xf0" + bytes(6), b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + bytes(7), b"\x91" * 3000, b"\x81\xa1s" * 3000, b"\xc0", b"\xc1", b"\x00", b"",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, -1, 0, 2, 2**31, 2**63, -(2**63), 1e308, float("nan"), float("inf"), True,
    "", "left", "<f2", "<f8", "|O8", "\0" * 99, b"", b"\xff" * 100, [], {}, [0] * 2000, [2**32, 2**32],
    {"t": "<f4", "s": [2**62, 3], "b": b""}, {"t": "<f4", "s": [0, 3], "b": b""},
)  # fmt: skip


@pytest.fixture(scope="module")
def seeds(make_result: Callable[..., FrameResult], topology: HandTopology) -> list[bytes]:
    times = Percentiles(1.0, 2.0, 3.0)
    stage = StageStatus("track", 10, 8, {"late": 2}, 0, times, 0, 1, 2)
    status = Status(
        "hands", "running", "", 1.0, 8, 2, 30.0, times, (stage,), (Choice("device", "cpu", "no GPU", True),), {}
    )
    result, empty = make_result(hands=2), make_result(hands=0)
    messages: list[wire.Message] = [
        wire.HandsMessage(1, result, 3, CLOCK),
        wire.HandsMessage(2, empty, 3, CLOCK),
        wire.ModelMessage("hands", topology, "hamba", {"hamba-stream": "0"}, 3, CLOCK),
        wire.StatusMessage(status, 3, CLOCK),
        wire.ImageMessage(result.frame, b"\xff\xd8\xff\xc0\0\x0b\x08\0\x30\0\x40\x01\x01\x11\0" + bytes(100), 3, CLOCK),
    ]
    return [wire.encode(message) for message in messages] + [wire.encode(messages[0], "float16")]


def mutated(message: bytes, others: list[bytes], chance: random.Random) -> bytes:
    if chance.random() < 0.4:
        topic, _, content = message.partition(b"\0")
        tree = msgspec.msgpack.decode(content)
        for _ in range(chance.randint(1, 3)):
            mutate_node(tree, chance)
        return topic + b"\0" + msgspec.msgpack.encode(tree)
    data = bytearray(message)
    # Half of all strikes hit the first bytes, where most of the structure is.
    for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
        at = chance.randrange(min(len(data), chance.choice((40, 400, len(data)))) or 1)
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at : at + 1] = bytes([data[at] ^ (1 << chance.randrange(8))]) if data else b""
            case 2:
                del data[at : at + chance.choice((1, 1, 4, 100))]
            case 3:
                data[at:at] = chance.choice(HOSTILE)
            case 4:
                data[at : at + chance.randrange(9)] = chance.choice(HOSTILE)
            case _:
                other = chance.choice(others)
                start = chance.randrange(len(other))
                data[at:] = other[start:]
        if not data:
            break
    return bytes(data)


def mutate_node(tree: Any, chance: random.Random) -> None:
    """Change, remove or add one value somewhere in it."""
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = chance.choice(keys)
        child = node[key]
        if isinstance(child, dict | list) and child and chance.random() < 0.8:
            node = child
            continue
        match chance.randrange(4):
            case 0:
                del node[key]
            case 1 if isinstance(child, bytes):
                node[key] = child[: chance.randrange(len(child) + 1)]
            case 2 if isinstance(node, dict):
                node["extra"] = deepcopy(chance.choice(VALUES))
            case _:
                node[key] = deepcopy(chance.choice(VALUES))
        return


def check(message: bytes) -> bool:
    """Whether it decodes. What decodes is a right value: it travels again without change."""
    try:
        decoded = wire.decode(message)
    except WireError:
        return False
    again = wire.encode(decoded)
    assert wire.encode(wire.decode(again)) == again
    return True


def fuzz(seeds: list[bytes], count: int, seed: int) -> tuple[int, int]:
    chance = random.Random(seed)
    accepted = 0
    for _ in range(count):
        accepted += check(mutated(chance.choice(seeds), seeds, chance))
    return accepted, count - accepted


def test_a_hundred_thousand_mutated_messages_are_refused_or_right(seeds: list[bytes]) -> None:
    accepted, refused = fuzz(seeds, 100_000, seed=2)
    assert accepted > 1_000
    assert refused > 20_000


def test_a_message_takes_no_more_memory_than_its_size_accounts_for(seeds: list[bytes]) -> None:
    chance = random.Random(3)
    messages = [mutated(chance.choice(seeds), seeds, chance) for _ in range(1_000)]
    check(messages[0])
    tracemalloc.start()
    try:
        for message in messages:
            tracemalloc.reset_peak()
            before = tracemalloc.get_traced_memory()[0]
            with suppress(WireError):
                wire.decode(message)
            # Lists of small numbers take 8 bytes an entry for one byte on the wire, maps of them more.
            assert tracemalloc.get_traced_memory()[1] - before < 100_000 + 40 * len(message)
    finally:
        tracemalloc.stop()


def test_random_bytes_are_refused() -> None:
    random_bytes = np.random.default_rng(4)
    for _ in range(2_000):
        with pytest.raises(WireError):
            wire.decode(b"hands/hands\0" + random_bytes.bytes(int(random_bytes.integers(0, 200))))
