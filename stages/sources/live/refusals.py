"""Why there is no connection to an address, in words, and what to do about it.

FFmpeg has "input/output error" for a name that nobody knows, for an encryption that is not one, and for more. So the
address is looked at and its name looked up before FFmpeg is asked, and what it says then is put into words.
"""

import errno
import os
import re
import socket
from ipaddress import ip_address

import av

from hamba_core.errors import SourceError
from stages.sources.address import hint
from stages.sources.decoding import reason_of

_WITHOUT_HOST = frozenset(("udp", "rtp", "tcp", "srt"))
"""Schemes of which an address without a host means this machine."""
_ENCRYPTED = frozenset(("https", "rtsps", "rtmps"))
_UNREACHED = (errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN)
_ANSWER = 1.0  # s
_CLOSED = (errno.EIO, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE)


def check_address(address: str, shown: str) -> None:
    """Raise SourceError if the address cannot lead anywhere: it has no host or port, or nobody knows the host's name.

    `shown` is the address as it may be shown.
    """
    scheme, host, port = parts_of(address)
    if not host and scheme not in _WITHOUT_HOST:
        raise SourceError(
            f"{shown}: expected an address with a host, as {scheme}://192.168.0.20/..., found none{hint(address)}"
        )
    if port and not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise SourceError(
            f"{shown}: expected a port of 1 to 65535 after the host, found {_if_shown(port, shown, 'another')}"
            f"{hint(address)}"
        )
    if not host or _is_number(host) or (scheme in ("http", "https") and _has_proxy()):
        return
    try:
        socket.getaddrinfo(host, int(port or 0), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        name = _if_shown(host, shown, "of its host")
        if getattr(error, "errno", None) == socket.EAI_AGAIN:
            found = f"that the name {name} cannot be looked up now: the name server does not answer"
            advice = "is this machine's network up? An address in numbers needs no name server"
        else:
            found = f"that nobody knows the name {name}"
            advice = "is it spelt right? The camera's address in numbers, as in its menu or the router's list, does too"
        raise SourceError(f"{shown}: expected a video stream, found {found}; {advice}{hint(address)}") from error


def parts_of(address: str) -> tuple[str, str, str]:
    """Return scheme, host and port of an address, as FFmpeg takes it apart; empty where there is none."""
    scheme, _, rest = address.partition("://")
    place = re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2]
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        return scheme.lower(), host, port.removeprefix(":")
    host, _, port = place.partition(":")
    return scheme.lower(), host, port


def not_opened(error: Exception, address: str, shown: str, *, late: float | None, connected: bool) -> SourceError:
    """Return the error for an address that FFmpeg could not open.

    `late` is how long it was waited for, s, if that was the limit; `connected`: it was given something before.
    """
    scheme = parts_of(address)[0]
    if isinstance(error, av.error.ProtocolNotFoundError):
        return SourceError(
            f"{shown}: expected a protocol that this build of FFmpeg speaks, found that it is without {scheme}; let a "
            f"program that has it pass the stream on, such as: ffmpeg -i {scheme}://... -c copy -f mpegts "
            "udp://127.0.0.1:5000"
        )
    if getattr(error, "errno", None) in _UNREACHED and scheme in ("http", "https") and _answers(address):
        return SourceError(
            f"{shown}: expected a video stream, found that it leads on to another address (a redirect), where there is "
            f"no way or nobody listens ({reason_of(error)}); give the address that it leads to, as a browser shows it"
        )
    found, advice = _in_words(error, address, shown, late, connected=connected)
    return SourceError(f"{shown}: expected a video stream, found {found}; {advice}{hint(address)}")


def not_streaming(error: SourceError, address: str, shown: str) -> SourceError:
    """Return the error for an address at which there is somebody who sends no stream, which `error` says."""
    return SourceError(
        f"{shown}: expected a video stream, found that {error}; is the address the stream's own, as in the camera's "
        f"manual, and does the camera send?{hint(address)}"
    )


def without_ranges(error: Exception, address: str) -> tuple[str, str] | None:
    """Return what FFmpeg means by an input/output error in a file of the web, and what to do; None in other cases."""
    if parts_of(address)[0] not in ("http", "https") or getattr(error, "errno", None) != errno.EIO:
        return None
    found = "a file that this server does not give in parts, as its index at the end has to be read first"
    return found, "copy it here, or use a server that knows ranges"


def dropped(error: Exception) -> str:
    """Return why a connection that was there is over."""
    if getattr(error, "errno", None) in _CLOSED:
        return "the connection broke off"
    return reason_of(error)


def _answers(address: str) -> bool:
    """Return whether somebody takes a connection at the address itself."""
    scheme, host, port = parts_of(address)
    try:
        socket.create_connection((host, int(port or {"http": 80, "https": 443}[scheme])), _ANSWER).close()
    except (OSError, ValueError):
        return False
    return True


def _in_words(error: Exception, address: str, shown: str, late: float | None, *, connected: bool) -> tuple[str, str]:
    """Return what was found, and what to do."""
    scheme, host, port = parts_of(address)
    where = _if_shown(f"{host}:{port}" if port else host, shown, "that address")
    number = getattr(error, "errno", None)
    if isinstance(error, av.error.ExitError) or late is not None:
        sent = "does the sender send to this machine and port, and does its firewall let it in"
        asked = f"is it on, in this network, and does it speak {scheme} at that port"
        return f"that nothing came within {late:g} s" if late is not None else "that nothing came in time", (
            f"{sent if scheme in ('udp', 'rtp') else asked}? The limit is source.live.open_timeout"
        )
    if isinstance(error, av.error.HTTPUnauthorizedError):
        if "@" in address:
            return "that it does not take this user or password (401)", "are both as the camera's own page takes them?"
        return (
            "that it wants a user and a password (401)",
            f"write {scheme}://USER:PASSWORD@... (--source-file keeps them out of the command line)",
        )
    if isinstance(error, av.error.HTTPForbiddenError):
        return "that it does not let us in (403)", "may this user see the stream, and is another watching already?"
    if isinstance(error, av.error.HTTPNotFoundError):
        return (
            "that there is nothing at this path (404)",
            "the camera's manual or its own page has the path of its stream; capitals matter",
        )
    if isinstance(error, av.error.HTTPTooManyRequestsError):
        return "that it was asked too often (429)", "wait a while, or end other viewers"
    if isinstance(error, av.error.HTTPClientError):
        return "that it refuses this request (4XX)", "is the path right, and the kind of stream one that it gives?"
    if isinstance(error, av.error.HTTPServerError):
        return "trouble at the server (5XX)", "look at what it logs, or start it again; too many may be watching"
    if isinstance(error, av.error.HTTPError):
        return f"a server that refused: {error.strerror}", "is the address right?"
    if number == errno.ECONNREFUSED:
        return (
            f"that nobody listens at {where} (connection refused)",
            "is the camera or server on, and the port right?",
        )
    if number in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EHOSTDOWN):
        return (
            f"no way to {where} ({os.strerror(number).lower()})",
            "is this machine in the camera's network, and the camera on?",
        )
    if number == errno.EADDRINUSE:
        return f"that another program has the port ({where})", "end it, or let the stream be sent to another port"
    if number == errno.EADDRNOTAVAIL:
        return f"that {where} is no address of this machine", "which it has to be to receive there; 0.0.0.0 is all"
    if (without := without_ranges(error, address)) is not None and connected:
        return without
    hung_up = isinstance(error, av.error.EOFError) or number in _CLOSED
    if hung_up and scheme in _ENCRYPTED:
        return (
            "that no encrypted connection could be made (TLS)",
            f"does {where} speak {scheme}, or is it {scheme[:-1]}?",
        )
    if hung_up:
        return "that it hung up without a word", f"does {where} speak {scheme}, and may there be one viewer more?"
    if isinstance(error, av.error.InvalidDataError):
        if scheme in ("http", "https", "tcp", "udp"):
            return f"{reason_of(error)}", "is it a video, and the address the stream's own and not that of a page?"
        return "an answer that cannot be read", f"does {where} speak {scheme}? Another program may have that port"
    return reason_of(error).replace(address, shown), "is the address right, and the camera or server on?"


def _if_shown(text: str, shown: str, otherwise: str) -> str:
    """Return the text where it is in what may be shown: what looks like a host may be a part of a password."""
    return text if text and text in shown else otherwise


def _is_number(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _has_proxy() -> bool:
    """Return whether FFmpeg asks another machine for what is on the web, which then looks names up too."""
    return bool(os.environ.get("http_proxy"))
