"""Nobody but the page's own visitors sees the hands, and nothing that a publisher says runs in the page."""

import http.client
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, strategies as st

from hamba_core.errors import ConfigurationError
from viewers.client import HandClient

viser = pytest.importorskip("viser", reason="needs viser: pip install 'hamba-stream[web]'")


@contextmanager
def page_of(stage: Any, **options: Any) -> Iterator[Any]:
    from viewers.web import HandPage

    with HandClient(stage.address, images=True) as client, closing(HandPage(client, port=0, **options)) as page:
        yield page


def ask(page: Any, *, path: str = "/", **headers: str) -> http.client.HTTPResponse:
    """The answer to a request with these headers."""
    place = urlsplit(page.address)
    names = {"Host": place.netloc, **{name.replace("_", "-"): value for name, value in headers.items()}}
    with closing(http.client.HTTPConnection("127.0.0.1", place.port, timeout=10)) as connection:
        connection.request("GET", path, headers=names)
        with connection.getresponse() as answer:
            return answer


def socket_status(page: Any, path: str = "/", **headers: str) -> int:
    """The answer to a WebSocket's handshake: 101 lets it in."""
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec_WebSocket_Protocol": f"viser-v{viser.__version__}",
    }
    return ask(page, path=path, **upgrade, **headers).status


TOKEN = "abcdefgh"
PARTS = [
    "/",
    "//",
    "?",
    "token=",
    TOKEN,
    "[",
    "]",
    "%",
    "&",
    ";",
    "#",
    "\udcff",
    "\xff",
    ":",
    "@",
    "%00",
    "%ff",
    "//[::1]",
]
VALUES = ["localhost", "localhost:80", "[", "[::1]:80", "[::1%25x]", "a:99999", "//[", "", f"hamba-token={TOKEN}",
          'hamba-token="\\377"', "hamba-token=x; $x=1", ";", "http://localhost", "https://evil.example"]  # fmt: skip


@given(
    st.lists(st.sampled_from(PARTS), max_size=6).map("".join),
    st.lists(st.tuples(st.sampled_from(["Host", "Origin", "Cookie"]), st.sampled_from(VALUES)), max_size=5),
)
@example("//]?", [("Host", "localhost")])
@example("/?token=\udcff", [("Host", "localhost")])
@example("/", [("Host", "localhost"), ("Host", "localhost")])
@example("/", [("Host", "localhost"), ("Cookie", f"hamba-token={TOKEN}"), ("Cookie", "a=b")])
def test_any_request_is_let_in_with_the_token_or_refused_in_words(path: str, lines: list[tuple[str, str]]) -> None:
    from websockets.datastructures import Headers

    from viewers.web.guard import Guard

    guard, headers = Guard("0.0.0.0", token=TOKEN), Headers()
    for name, value in lines:
        headers[name] = value
    refusal = guard.refusal(path, headers)
    if refusal is None:
        assert TOKEN in path or f"hamba-token={TOKEN}" in headers["Cookie"]
        assert guard.cookie(path) is None or TOKEN in path
        assert "evil" not in headers.get("Origin", "")
    else:
        assert refusal.encode().startswith(b"expected")


def test_a_page_from_elsewhere_is_let_in_neither_by_its_origin_nor_by_a_name_that_is_pointed_here(
    make_stage: Callable[..., Any],
) -> None:
    with page_of(make_stage()) as page:
        port = urlsplit(page.address).port
        assert ask(page).status == 200
        assert socket_status(page) == 101
        assert socket_status(page, Origin=f"http://127.0.0.1:{port}") == 101
        assert socket_status(page, Host=f"localhost:{port}", Origin=f"http://localhost:{port}") == 101
        assert socket_status(page, Host="localhost:9000", Origin="http://localhost:9000") == 101  # a tunnel of ssh's
        for origin in ("https://evil.example", "null", f"http://localhost:{port}", "http://127.0.0.1:1", "file://"):
            assert socket_status(page, Origin=origin) == 403, origin
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "", "[", "localhost.evil"):
            assert socket_status(page, Host=host, Origin=f"http://{host}") == 403, host
            assert ask(page, Host=host).status == 403, host


def test_an_origin_that_is_allowed_is_let_in_and_no_other(make_stage: Callable[..., Any]) -> None:
    with page_of(make_stage(), allow_origins=["https://lab.example"]) as page:
        assert socket_status(page, Origin="https://lab.example") == 101
        assert socket_status(page, Host="lab.example", Origin="https://lab.example") == 101
        assert socket_status(page, Origin="https://other.example") == 403
        assert socket_status(page, Origin="https://lab.example.evil") == 403
    for wrong in ("lab.example", "https://lab.example/page", "ftp://lab.example", "*"):
        with pytest.raises(ConfigurationError, match="allow-origin"), page_of(make_stage(), allow_origins=[wrong]):
            pass


def test_a_token_lets_in_who_has_the_printed_address_and_the_browser_keeps_it(make_stage: Callable[..., Any]) -> None:
    from viewers.web import new_token

    token = new_token()
    with page_of(make_stage(), token=token) as page:
        assert page.address.endswith(f"/?token={token}")
        assert ask(page).status == socket_status(page) == 403
        assert ask(page, path="/?token=wrong").status == 403
        assert socket_status(page, Cookie="hamba-token=wrong") == 403
        answer = ask(page, path=f"/?token={token}")
        assert answer.status == 200
        cookie = answer.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert socket_status(page, Cookie=cookie.partition(";")[0]) == 101
        assert socket_status(page, Cookie=cookie.partition(";")[0], Origin="https://evil.example") == 403


def test_no_visitor_makes_the_page_public(make_stage: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    import viser._tunnel

    monkeypatch.setattr(viser._tunnel.ViserTunnel, "__init__", lambda *_, **__: pytest.fail("a tunnel was asked for"))
    with page_of(make_stage()) as page:
        assert page._server.request_share_url() is None


EVIL = '<iframe srcdoc="<script>parent.evil = 1</script>"></iframe><img src=x onerror="window.evil = 1">{evil}|`x`'


def test_what_a_publisher_says_has_no_markup_on_its_way_to_the_page(make_stage: Callable[..., Any]) -> None:
    stage = make_stage()
    with page_of(stage) as page:
        deadline = time.monotonic() + 20
        while "failed" not in page._table():
            assert time.monotonic() < deadline
            stage.say("failed", EVIL)
            page.step()
        tags = re.findall(r"<[^>]*>", page._table())
        assert {re.sub(r" .*>", ">", tag) for tag in tags} == {"<table>", "</table>", "<tr>", "</tr>", "<td>", "</td>"}


def test_what_a_publisher_says_is_text_in_the_page(
    make_stage: Callable[..., Any], browser: Any, make_result: Callable[..., Any]
) -> None:
    stage, result = make_stage(), make_result(0)
    with page_of(stage) as page:
        browser.open(page.address)
        deadline = time.monotonic() + 40
        while "<iframe srcdoc" not in browser.text():
            assert time.monotonic() < deadline, browser.text()
            stage.show(result)
            stage.say("failed", EVIL)
            for _ in range(3):
                page.step()
        assert "{evil}|`x`" in browser.text()
        assert browser.run("window.evil") is None
        assert browser.run("document.querySelectorAll('iframe, img[src=x]').length") == 0
        browser.open("about:blank")
