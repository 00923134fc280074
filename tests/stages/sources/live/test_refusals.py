"""What is said of an address to which there is no connection: the address without its secret, the cause, what to do."""

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hamba_core.errors import SourceError
from stages.sources import SourceSettings, source_for
from stages.sources.live import refusals

SECRET = "user:SeKret%40x@"
QUICK = SourceSettings.model_validate({"live": {"open_timeout": 1.0, "read_timeout": 0.5}})

Answer = Callable[[bytes], bytes]
Serve = Callable[[Answer], int]


def said(address: str) -> str:
    """The error of opening an address; it never has the secret in it."""
    source = source_for(address, QUICK)
    try:
        with pytest.raises(SourceError) as caught:
            source.open()
    finally:
        source.close()
    text = str(caught.value)
    assert "SeKret" not in text
    assert text.startswith(address.replace(SECRET, "***@") + ": expected ")
    return text


@pytest.fixture
def serve() -> Iterator[Serve]:
    """serve(answer) -> the port of a server that gives answer(request), and hangs up where that is empty."""
    sockets: list[socket.socket] = []

    def talk(connection: socket.socket, answer: Answer) -> None:
        with connection:
            try:
                while request := connection.recv(4096):
                    given = answer(request)
                    if not given:
                        return
                    connection.sendall(given)
                    if given.startswith(b"HTTP"):
                        return
            except OSError:
                return

    def accept(server: socket.socket, answer: Answer) -> None:
        try:
            while True:
                threading.Thread(target=talk, args=(server.accept()[0], answer), daemon=True).start()
        except OSError:
            return

    def start(answer: Answer) -> int:
        server = socket.create_server(("127.0.0.1", 0))
        sockets.append(server)
        threading.Thread(target=accept, args=(server, answer), daemon=True).start()
        return int(server.getsockname()[1])

    yield start
    for server in sockets:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


def status(code: str) -> Answer:
    """A server of HTTP and RTSP that gives everything this status."""

    def answer(request: bytes) -> bytes:
        if request.startswith(b"GET"):
            return f"HTTP/1.1 {code}\r\nContent-Length: 0\r\n\r\n".encode()
        cseq = next((line for line in request.split(b"\r\n") if line.lower().startswith(b"cseq")), b"")
        return f"RTSP/1.0 {'200 OK' if request.startswith(b'OPTIONS') else code}\r\n".encode() + cseq + b"\r\n\r\n"

    return answer


@pytest.mark.parametrize("scheme", ["rtsp", "rtsps", "http", "https", "tcp", "rtmp", "udp"])
@pytest.mark.parametrize(("code", "words"), [(socket.EAI_NONAME, "nobody knows"), (socket.EAI_AGAIN, "looked up now")])
def test_a_misspelt_host_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str, code: int, words: str) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(code, "as the system says it")

    monkeypatch.delenv("http_proxy", raising=False)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    text = said(f"{scheme}://{SECRET}kamera.invalid:5000/live")
    assert words in text
    assert "the name kamera.invalid" in text
    assert "numbers" in text


def test_a_host_that_may_be_a_part_of_the_password_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "as the system says it")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    source = source_for("rtsp://user:11/SeKret@camera/live", QUICK)  # FFmpeg takes "user" for the host
    with pytest.raises(SourceError) as caught:
        source.open()
    source.close()
    assert "the name of its host" in str(caught.value)
    assert "%2F" in str(caught.value)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("rtsp:///live", "with a host"),
        ("http://:80/live", "with a host"),
        ("rtsp://127.0.0.1:99999/live", "found 99999"),
        ("udp://127.0.0.1:0", "1 to 65535"),
        ("http://127.0.0.1:80a/live", "found 80a"),
    ],
)
def test_an_address_that_can_lead_nowhere_is_told(address: str, words: str) -> None:
    assert words in said(address)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("401 Unauthorized", "does not take this user or password"),
        ("403 Forbidden", "does not let us in"),
        ("404 Not Found", "nothing at this path"),
        ("461 Unsupported Transport", "refuses this request"),
        ("503 Service Unavailable", "trouble at the server"),
    ],
)
def test_what_a_server_refuses(serve: Serve, scheme: str, code: str, words: str) -> None:
    assert words in said(f"{scheme}://{SECRET}127.0.0.1:{serve(status(code))}/live")


def test_one_that_wants_a_password_is_told_how_to_give_it(serve: Serve) -> None:
    text = said(f"rtsp://127.0.0.1:{serve(status('401 Unauthorized'))}/live")
    assert "wants a user and a password" in text
    assert "rtsp://USER:PASSWORD@" in text


@pytest.mark.parametrize("scheme", ["rtsps", "https"])
def test_plain_where_encryption_was_asked_for(serve: Serve, scheme: str) -> None:
    text = said(f"{scheme}://{SECRET}127.0.0.1:{serve(status('200 OK'))}/live")
    assert "TLS" in text
    assert f"or is it {scheme[:-1]}?" in text


def test_a_web_page_and_another_protocol(serve: Serve) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<!DOCTYPE html><html><body>Camera</body></html>"
    port = serve(lambda _: page)
    assert "web page" in said(f"http://{SECRET}127.0.0.1:{port}/")
    assert f"does 127.0.0.1:{port} speak rtsp?" in said(f"rtsp://{SECRET}127.0.0.1:{port}/")


def test_one_that_hangs_up_or_says_nothing(serve: Serve) -> None:
    assert "hung up without a word" in said(f"http://{SECRET}127.0.0.1:{serve(lambda _: b'')}/live")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert "nothing came within 1 s" in said(f"rtsp://{SECRET}127.0.0.1:{port}/live")


def test_a_port_that_another_program_has() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert "another program has the port" in said(f"udp://127.0.0.1:{port}?reuse=0")


@pytest.mark.parametrize(
    ("address", "parts"),
    [
        ("rtsp://user:p%40ss@camera.local:8554/live?x=a@b", ("rtsp", "camera.local", "8554")),
        ("HTTP://camera", ("http", "camera", "")),
        ("rtsp://[fe80::1%eth0]:554/a", ("rtsp", "fe80::1%eth0", "554")),
        ("udp://:5000", ("udp", "", "5000")),
        ("tcp://host:1?listen=1", ("tcp", "host", "1")),
    ],
)
def test_the_parts_of_an_address(address: str, parts: tuple[str, str, str]) -> None:
    assert refusals.parts_of(address) == parts
