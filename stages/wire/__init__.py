"""The wire format, version 3, takes messages to bytes and back. `docs/protocol.md` describes it.

A message is a topic (`hands/<stream>`), one NUL byte and one MessagePack map. Decoding is strict about what it knows
and ignores what it does not: every type, length and shape is checked against the bytes that are there before anything
is allocated from them, and whatever is wrong is a WireError. It imports NumPy and msgspec only.
"""

import re
from typing import Any, Final

import msgspec
import numpy as np

from hamba_core.errors import ConfigurationError, PacketError, WireError
from stages.wire import convert, maps
from stages.wire.messages import HandsMessage, ImageMessage, Kind, Message, ModelMessage, StatusMessage, VertexForm

__all__ = [
    "KINDS",
    "VERSION",
    "HandsMessage",
    "ImageMessage",
    "Kind",
    "Message",
    "ModelMessage",
    "StatusMessage",
    "VertexForm",
    "decode",
    "decode_map",
    "encode",
    "encode_map",
    "json_schema",
]

VERSION: Final = maps.VERSION
KINDS: Final[tuple[Kind, ...]] = ("hands", "model", "status", "image")

_TOPIC = re.compile(rb"(hands|model|status|image)/([A-Za-z0-9_.-]{1,64})")
_LONGEST_TOPIC = len("status/") + 64
_DECODERS: Final[dict[str, msgspec.msgpack.Decoder[Any]]] = {
    "hands": msgspec.msgpack.Decoder(maps.Hands),
    "model": msgspec.msgpack.Decoder(maps.Model),
    "status": msgspec.msgpack.Decoder(maps.Status),
    "image": msgspec.msgpack.Decoder(maps.Image),
}


def encode(message: Message, vertices: VertexForm = "float32") -> bytes:
    """Return the bytes to publish: topic, NUL, map. Raises WireError where `decode` would refuse them."""
    return message.topic.encode() + b"\0" + encode_map(message, vertices)


def encode_map(message: Message, vertices: VertexForm = "float32") -> bytes:
    """Return the map alone, as recordings keep it. Raises WireError where `decode_map` would refuse it."""
    try:
        content = _ENCODER.encode(convert.to_map(message, vertices))
        _DECODERS[message.topic.partition("/")[0]].decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WireError(f"{message.topic}: expected a message that can be read back, found: {error}") from error
    return content


def decode(message: bytes | bytearray | memoryview) -> Message:
    """Return what `encode` was given, but for pictures in results. Raises WireError, and nothing else, on any bytes."""
    view = memoryview(message)
    head = bytes(view[: _LONGEST_TOPIC + 1])
    length = head.find(b"\0")
    if length < 0:
        raise WireError(f"message: expected a topic and a NUL byte first, found {head[:24]!r}")
    return decode_map(head[:length], view[length + 1 :])


def decode_map(topic: bytes | str, content: bytes | bytearray | memoryview) -> Message:
    """Decode a topic and a map that are already apart, as `decode` does. Raises WireError."""
    raw_topic = topic.encode("utf-8", "replace") if isinstance(topic, str) else topic
    found = _TOPIC.fullmatch(raw_topic)
    if not found:
        raise WireError(
            f"topic: expected one of {', '.join(KINDS)}, a slash and a stream's name, found {raw_topic[:80]!r}"
        )
    kind, stream = (part.decode() for part in found.groups())
    try:
        given = _DECODERS[kind].decode(content)
        if maps.OLDEST_VERSION <= given.v <= VERSION:
            if given.stream != stream:
                raise WireError(f"stream: expected {stream!r} as in the topic, found {given.stream[:64]!r}")
            return convert.from_map(given)
        version, cause = given.v, None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, PacketError, ConfigurationError) as error:
        # Another version may differ in any field, so its number is the better explanation.
        version, cause = _version_of(content), error
    if version is not None and not maps.OLDEST_VERSION <= version <= VERSION:
        raise WireError(
            f"{kind} message: expected version {maps.OLDEST_VERSION} to {VERSION}, found {version}; "
            "update whichever program is older"
        ) from cause
    raise WireError(f"{kind} message: {cause}") from cause


def json_schema(kind: Kind) -> dict[str, Any]:
    """Return the JSON Schema of a kind's map, byte strings as base64: documentation that goes along with recordings."""
    from msgspec.json import schema

    return schema(_DECODERS[kind].type)


def _version_of(content: bytes | bytearray | memoryview) -> int | None:
    try:
        return msgspec.msgpack.decode(content, type=maps.Version).v
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _plain(value: object) -> object:
    """Return NumPy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"wire: expected numbers, texts, lists and maps, found {type(value).__name__}")


_ENCODER = msgspec.msgpack.Encoder(enc_hook=_plain)
