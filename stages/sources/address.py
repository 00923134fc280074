"""An address with something secret in it can only be printed without its secret.

Every name of a source that a person or a program gives goes through `source_name` once. If it is an address with a
user, a password or a token, what comes back is a text that reads, prints, formats, compares and is written with stars
in their place. Only `revealed` gives the address itself, to the code that opens it.
"""

import re
from pathlib import Path
from typing import Any, Final

_SCHEME: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]+:(?=/)/*")
_LOGIN: Final = re.compile(r"[^/\s]*:[^\s]*@.|[^/\\]{0,16}(?://|\\\\)[^\s]*@.")
"""What begins as an address with a login may begin, however its scheme is misspelt."""
_MISSPELT: Final = re.compile(r"[^/\\@]{0,16}(?://|\\\\)")
_WORDS: Final = "user|usr|login|pass|pwd|psw|token|key|secret|auth|sig|session|cred|code|pin|id"
_NAMED_SECRET: Final = re.compile(rf"((?:{_WORDS})[A-Za-z0-9_.-]*[=:])[^&;/?#]+", re.IGNORECASE)
_BEGINS_SECRET: Final = re.compile(rf"(?:^|[&;])(?:[a-z]+[_-])?(?:{_WORDS})[a-z0-9_.-]*=", re.IGNORECASE)
"""In a query by which an address is known that has no scheme; "width=" is no "id"."""
_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+:[0-9]{1,5}(?=/|$)")
"""A host with a dot in its name, and its port: what looks like a name of something secret in it is none."""
_HARMLESS: Final = frozenset(
    {
        *("fps", "rate", "resolution", "width", "height", "quality", "compression", "codec", "channel", "subtype"),
        *("stream", "profile", "camera", "action", "mode", "transport", "latency", "timeout", "listen", "reuse"),
        *("fifo_size", "pkt_size", "buffer_size", "overrun_nonfatal", "localaddr"),
    }
)
"""Names in a query whose values are shown."""
STARS: Final = "***"


class SecretAddress(str):
    """An address as it may be shown; only `revealed` gives the address itself."""

    _secret: str

    def __new__(cls, secret: str) -> "SecretAddress":
        """Make it from the address as it was given."""
        self = super().__new__(cls, redacted(secret))
        self._secret = secret
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return SecretAddress, (self._secret,)

    def __eq__(self, other: object) -> bool:
        return self._secret == other._secret if isinstance(other, SecretAddress) else str(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__()


def source_name(text: str) -> str:
    """Return the same name of a source, unless it is an address with something secret in it: then a `SecretAddress`."""
    if isinstance(text, SecretAddress) or redacted(text) == text or _exists(text):
        return text
    return SecretAddress(text)


def revealed(name: str) -> str:
    """Return the address, to open it with."""
    return name._secret if isinstance(name, SecretAddress) else name


def redacted(text: str) -> str:
    """Return the text with stars for what may be secret in it, if it is an address.

    Secret is all that stands before the last @, since a password that is not percent-encoded may contain anything; the
    values of a query but for some that are known to be harmless; and what is called a password or the like anywhere.
    """
    scheme = _SCHEME.match(text)
    if scheme is None and not _LOGIN.match(text) and not _BEGINS_SECRET.search(text.partition("?")[2]):
        return text
    head, rest = (text[: scheme.end()], text[scheme.end() :]) if scheme else ("", text)
    if scheme and head.strip().lower().startswith("file:") and (head.endswith("///") or "@" not in rest):
        return text
    login, at, rest = rest.rpartition("@")
    rest, hash_, fragment = rest.partition("#")
    place, question, query = rest.partition("?")
    host = _HOST.match(place) if scheme else None
    begin = host.end() if host else 0
    place = place[:begin] + _NAMED_SECRET.sub(rf"\1{STARS}", place[begin:])
    parts = re.split(r"([&;])", query)
    query = "".join(part if part in ("&", ";", "") else _parameter(part) for part in parts)
    return "".join((head, STARS if at and login else "", at, place, question, query, hash_, STARS if fragment else ""))


def _parameter(text: str) -> str:
    name, equals, value = text.partition("=")
    if not equals:
        return STARS
    return text if name.lower() in _HARMLESS or not value else f"{name}={STARS}"


def hint(address: str) -> str:
    """Return advice for an address that could not be opened because characters of its password end it too early."""
    rest = (_SCHEME if _SCHEME.match(address) else _MISSPELT).sub("", address, count=1)
    login = rest.rpartition("@")[0]
    if not re.search(r"[/?#@\[\]\s]", login):
        return ""
    return "; in a user name or password write / as %2F, # as %23, ? as %3F, @ as %40, [ as %5B and ] as %5D"


def read_source_file(path: str) -> list[str]:
    """Return the sources in a file, or for "-" on standard input, one a line. Raises OSError, ValueError."""
    import sys

    text = sys.stdin.read() if path == "-" else Path(path).expanduser().read_text()
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except (OSError, ValueError):
        return False
