"""Who may connect, by CURVE: the clients whose public keys lie in a folder, looked at again while the run goes on."""

import logging
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

import zmq
from zmq.auth import load_certificate
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils.monitor import recv_monitor_message

from hamba_core.errors import ConfigurationError, error_reason

logger = logging.getLogger(__name__)

_REFUSALS: Final = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
)


class Guard:
    """Lets those in who have a key, and tells of the others. Raises ConfigurationError for keys that are none."""

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", server_key: Path, clients: Path | None) -> None:
        self._public_key, self._secret_key = load_secret_key(server_key)
        if clients is None or not any(clients.glob("*.key")):
            raise ConfigurationError(
                f"publish.clients: expected a folder of public keys (*.key) that may connect, found {clients}; "
                "make a pair for each client with `hamba keys new`"
            )
        self._clients = clients
        self._known = _keys_in(clients)
        self._handshakes: zmq.Socket[bytes] | None = None
        self._told: set[str] = set()
        self._authenticator = ThreadAuthenticator(context, log=logger)
        self._authenticator.start()
        self._authenticator.configure_curve(domain="*", location=clients)

    def protect(self, socket: "zmq.Socket[bytes]") -> None:
        """Ask all who connect to this socket, which is not bound yet, for their keys."""
        socket.curve_publickey, socket.curve_secretkey = self._public_key, self._secret_key
        socket.curve_server = True
        if self._handshakes is not None:
            self._handshakes.close(0)
        self._handshakes = socket.get_monitor_socket(_REFUSALS)

    def tell_refused(self) -> None:
        """Warn of those who were refused since the last time, once for each reason."""
        while self._handshakes is not None and self._handshakes.poll(0):
            handshake = recv_monitor_message(self._handshakes)
            refusal = _why_refused(handshake["event"], handshake["value"])
            if refusal not in self._told:  # such a client tries again every second
                self._told.add(refusal)
                logger.warning("publish: a client was refused: %s", refusal)

    def lost_a_key(self) -> bool:
        """Let in whose key was added, and return whether one was taken away or written anew."""
        before, self._known = self._known, _keys_in(self._clients)
        if self._known != before:
            self._authenticator.configure_curve(domain="*", location=self._clients)
        return not before <= self._known

    def close(self) -> None:
        """End its thread."""
        self._authenticator.stop()
        if self._handshakes is not None:
            self._handshakes.close(0)
            self._handshakes = None


def load_secret_key(path: Path) -> tuple[bytes, bytes]:
    """Return public and secret part of a key file; warn of one that others can read. Raises ConfigurationError."""
    try:
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            logger.warning("%s: others on this machine can read this secret key; chmod 600 %s", path, path)
        public, secret = load_certificate(path)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"{path}: expected a CURVE key made by `hamba keys new`, found: {error_reason(error)}"
        ) from error
    if secret is None:
        raise ConfigurationError(f"{path}: expected a secret key (*.key_secret), found a public one")
    return public, secret


def _keys_in(folder: Path) -> frozenset[tuple[str, int]]:
    """Return the public keys of a folder, by name, and when they were last written."""
    found = set()
    for path in folder.glob("*.key"):
        with suppress(OSError):
            found.add((path.name, path.stat().st_mtime_ns))
    return frozenset(found)


def _why_refused(event: int, detail: int) -> str:
    match event:
        case zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return "its public key is not in the folder publish.clients"
        case zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL if detail != zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH:
            return "it takes this publisher for another: its --server-key is not ours"
        case _:  # both sides see the mismatch; where the client is the first to hang up, we only see it go
            return "it came without keys"
