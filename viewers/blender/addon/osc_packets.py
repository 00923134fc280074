"""Reads OSC 1.0 packets, as `hamba osc` sends them: bundles of messages of texts, integers and floats."""

import struct
from collections.abc import Iterator

Message = tuple[str, tuple[str | int | float, ...]]
MOST_PACKET = 65536
"""Bytes of a packet."""


def messages_in(packet: bytes) -> Iterator[Message]:
    """Yield the messages in a packet. Raises ValueError where it is no OSC."""
    try:
        if not packet.startswith(b"#bundle\0"):
            yield _message(packet)
            return
        at = 16
        while at < len(packet):
            (size,) = struct.unpack_from(">i", packet, at)
            if size <= 0 or at + 4 + size > len(packet):
                raise ValueError(f"expected a message of {size} bytes, found {len(packet) - at - 4}")
            yield _message(packet[at + 4 : at + 4 + size])
            at += 4 + size
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"expected an OSC packet, found: {error}") from error


def _message(data: bytes) -> Message:
    address, at = _text(data, 0)
    kinds, at = _text(data, at)
    if not address.startswith("/") or not kinds.startswith(","):
        raise ValueError(f"expected an OSC message, found {data[:16]!r}")
    arguments: list[str | int | float] = []
    for kind in kinds[1:]:
        if kind == "s":
            text, at = _text(data, at)
            arguments.append(text)
        elif kind in "if":
            arguments.append(struct.unpack_from(f">{kind}", data, at)[0])
            at += 4
        else:
            raise ValueError(f"expected texts, integers and floats, found the type {kind!r}")
    return address, tuple(arguments)


def _text(data: bytes, at: int) -> tuple[str, int]:
    end = data.find(b"\0", at)
    if end < 0:
        raise ValueError("expected a text that ends")
    return data[at:end].decode("utf-8"), (end + 4) // 4 * 4
