"""Where hands are published, unless told otherwise."""

from typing import Final

DEFAULT_ADDRESS: Final = "tcp://127.0.0.1:5557"

HIGHEST_PORT: Final = 65535


def has_impossible_port(address: str) -> bool:
    """Return whether a TCP address has a port that cannot exist. ZeroMQ would take another one, without a word."""
    port = address.rpartition(":")[2]
    return address.startswith("tcp://") and port.isdecimal() and int(port) > HIGHEST_PORT
