"""Sends OSC messages over UDP, as bundles that fit a packet (python-osc)."""

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Final, NamedTuple, Self

from hamba_core.errors import ConfigurationError
from hamba_core.packages import needed_for

_LARGEST: Final = 1400
"""Bytes of a bundle: what every network carries in one piece."""


class OscMessage(NamedTuple):
    """An address and its arguments: texts, integers and floats."""

    address: str
    arguments: tuple[str | int | float, ...]


class OscSender:
    """Sends to one address. Raises DependencyError without python-osc, ConfigurationError for an unknown host."""

    def __init__(self, host: str, port: int) -> None:
        with needed_for("OSC"):
            from pythonosc.udp_client import UDPClient
        try:
            self._client = UDPClient(host, port)
        except OSError as error:
            raise ConfigurationError(
                f"cannot send to {host}:{port}: expected a host's name or address, found: {error}"
            ) from error
        self.unsent = 0
        """Bundles that this machine refused to send, as where nobody listens there."""

    def send(self, messages: Iterable[OscMessage]) -> None:
        """Send these messages, in order, in as few bundles as they fit into."""
        waiting: list[bytes] = []
        size = 16
        for message in messages:
            data = _built(message)
            if waiting and size + 4 + len(data) > _LARGEST:
                self._send(waiting)
                waiting, size = [], 16
            waiting.append(data)
            size += 4 + len(data)
        if waiting:
            self._send(waiting)

    def _send(self, messages: Sequence[bytes]) -> None:
        from pythonosc.osc_bundle import OscBundle

        # "#bundle", "immediately", then each message after its size: OSC 1.0.
        data = b"#bundle\0" + (1).to_bytes(8, "big") + b"".join(len(m).to_bytes(4, "big") + m for m in messages)
        try:
            self._client.send(OscBundle(data))
        except OSError:  # UDP tells of an earlier packet that nobody took it
            self.unsent += 1

    def close(self) -> None:
        """Close the socket."""
        self._client._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _built(message: OscMessage) -> bytes:
    from pythonosc.osc_message_builder import OscMessageBuilder

    builder = OscMessageBuilder(message.address)
    for argument in message.arguments:
        builder.add_arg(argument)
    data: bytes = builder.build().dgram
    return data
