"""The guard decides who may see the page: its own visitors, and no other page that they have open.

A browser lets every page open a WebSocket to this machine, and says in `Origin` whose page that is. It also follows a
name that its owner points to this machine ("DNS rebinding"), and says in `Host` what that name was. The guard looks at
both with every request. If the page can be reached from other machines it also asks for a token, which stands in the
address that is printed, and which the browser keeps as a cookie.
"""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from hamba_core.errors import ConfigurationError, DependencyError

COOKIE: Final = "hamba-token"
LARGEST_REQUEST: Final = 1 << 20
"""Bytes of a message from a browser; its own have a few hundred."""

Headers = Mapping[str, str]


class Guard:
    """Looks at requests to a page that is served on `host`.

    `allow_origins` are pages, as "https://example.org", that may show what is served here, and names of this machine
    that a proxy before it uses. `token` has to be in the address, or in the cookie that its answer sets; None asks for
    none. Raises ConfigurationError for an invalid origin.
    """

    def __init__(self, host: str, allow_origins: Sequence[str] = (), token: str | None = None) -> None:
        self.token = token
        self._origins = frozenset(origin.rstrip("/").lower() for origin in allow_origins)
        names = {"localhost", host.lower()}
        if not is_loopback(host):
            names |= {socket.gethostname().lower(), f"{socket.gethostname().lower()}.local"}
        for origin in self._origins:
            parts = urlsplit(origin)
            whole = f"{parts.scheme}://{parts.netloc}"
            if parts.scheme not in ("http", "https") or not parts.hostname or origin != whole:
                raise ConfigurationError(
                    f"--allow-origin: expected a page's origin such as https://example.org, found {origin!r}"
                )
            names.add(parts.hostname)
        self._names = frozenset(names)

    def refusal(self, path: str, headers: Headers) -> str | None:
        """Return why a request is refused, in words, or None. The case of names in `headers` does not matter."""
        try:
            return self._refusal(path, headers)
        except (ValueError, LookupError):  # a header that comes several times, half an address
            return "expected a request as browsers send it, found another"

    def _refusal(self, path: str, headers: Headers) -> str | None:
        host = headers.get("Host", "")
        if not self._is_ours(host):
            return f"expected this page's own address, found {host[:100]!r}; name it with --allow-origin"
        origin = headers.get("Origin")
        if origin is not None and not self._may_show(origin.lower(), host.lower()):
            return f"expected to be asked by the page itself, found {origin[:100]!r}; allow it with --allow-origin"
        if self.token is not None and not self._has_token(path, headers):
            return "expected the token of this page: open the address that hamba web printed"
        return None

    def cookie(self, path: str) -> str | None:
        """Return the cookie to set if a request brings the token in its address."""
        if self.token is None or not self._is_token(_token_in(path)):
            return None
        return f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in self._names:
            return True
        try:
            ipaddress.ip_address(name)  # a number is never somebody's name that was pointed here
        except ValueError:
            return False
        return True

    def _may_show(self, origin: str, host: str) -> bool:
        return origin in self._origins or origin in (f"http://{host}", f"https://{host}")

    def _has_token(self, path: str, headers: Headers) -> bool:
        try:
            morsel = SimpleCookie(headers.get("Cookie", "")).get(COOKIE)
        except CookieError:
            morsel = None
        return self._is_token(_token_in(path)) or (morsel is not None and self._is_token(morsel.value))

    def _is_token(self, text: str) -> bool:
        return self.token is not None and hmac.compare_digest(text.encode(), self.token.encode())


def is_loopback(host: str) -> bool:
    """Return whether this address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """Return a token that cannot be guessed."""
    return secrets.token_urlsafe(16)


def _token_in(path: str) -> str:
    return parse_qs(urlsplit(path).query).get("token", [""])[0]


@contextmanager
def guarding(guard: Guard) -> Iterator[None]:
    """Have a viser server that is made in this block ask the guard about every request. Raises DependencyError.

    viser has no such setting, so the function with which it begins to serve is wrapped inside the block.
    """
    import websockets.asyncio.server as server

    original: Callable[..., Any] = server.serve
    wrapped = False

    def serve(*args: Any, process_request: Callable[..., Any], **options: Any) -> Any:
        nonlocal wrapped
        wrapped = True

        def guarded(connection: Any, request: Any) -> Any:
            if (reason := guard.refusal(request.path, request.headers)) is not None:
                return connection.respond(HTTPStatus.FORBIDDEN, reason + "\n")
            answer = process_request(connection, request)
            if answer is not None and (cookie := guard.cookie(request.path)) is not None:
                answer.headers["Set-Cookie"] = cookie
                answer.headers["Referrer-Policy"] = "no-referrer"  # the address has the token in it
            return answer

        return original(*args, process_request=guarded, **(options | {"max_size": LARGEST_REQUEST}))

    server.serve = serve  # type: ignore[assignment, misc]
    try:
        yield
    finally:
        server.serve = original  # type: ignore[assignment, misc]
    if not wrapped:
        raise DependencyError("the browser viewer: expected viser 1.1, whose requests can be checked, found another")
