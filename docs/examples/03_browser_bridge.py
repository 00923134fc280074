"""Show hands in a web page of your own, over a WebSocket.

    hamba run 0
    python docs/examples/03_browser_bridge.py  # [ADDRESS [PORT]]; needs: pip install websockets

and open http://127.0.0.1:8765. Browsers do not speak ZeroMQ, so this forwards messages unchanged; the page
(03_browser.html) decodes them according to `docs/protocol.md`. A WebSocket to /webxr gets JSON with WebXR's joints
instead: `new WebSocket("ws://127.0.0.1:8765/webxr")`, then `JSON.parse(event.data).hands[0].joints["wrist"]`.
"""

import asyncio
import json
import logging
import sys
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

import zmq
import zmq.asyncio
from websockets.asyncio.server import ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Origin

from stages.wire import HandsMessage, decode
from viewers.avatars import webxr_frame

PAGE = Path(__file__).with_name("03_browser.html")
PORT = sys.argv[2] if len(sys.argv) > 2 else "8765"
HOSTS = (f"127.0.0.1:{PORT}", f"localhost:{PORT}")


def give_page(connection: ServerConnection, request: Request) -> Response | None:
    # A name that somebody points to this machine must not show the hands under it ("DNS rebinding").
    if request.headers.get("Host") not in HOSTS:
        return connection.respond(HTTPStatus.FORBIDDEN, "not under this name\n")
    if request.path in ("/hands", "/webxr"):
        return None  # a WebSocket
    if request.path != "/":
        return connection.respond(HTTPStatus.NOT_FOUND, "not here\n")
    page = PAGE.read_bytes()
    headers = Headers({"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(page))})
    return Response(HTTPStatus.OK, "OK", headers, page)


def webxr_json(message: bytes) -> str:
    decoded = decode(message)
    if not isinstance(decoded, HandsMessage):
        raise TypeError(f"only hands are subscribed to, found {decoded.topic}")
    return json.dumps(webxr_frame(decoded.result))


async def main(address: str = "tcp://127.0.0.1:5557") -> None:
    context = zmq.asyncio.Context()

    async def pass_on(browser: ServerConnection) -> None:
        with context.socket(zmq.SUB) as hands:
            hands.setsockopt(zmq.CONFLATE, 1)  # the newest only: a slow browser is never behind
            hands.subscribe("hands/")
            hands.connect(address)
            while True:
                message = await hands.recv()
                as_webxr = browser.request is not None and browser.request.path == "/webxr"
                await browser.send(webxr_json(message) if as_webxr else message)

    async def follow(browser: ServerConnection) -> None:
        passing = asyncio.create_task(pass_on(browser))
        await browser.wait_closed()
        passing.cancel()

    # A page from elsewhere that is open in the same browser must not watch the hands: only our own page may.
    origins = [Origin(f"http://{host}") for host in HOSTS]
    async with serve(follow, "127.0.0.1", int(PORT), process_request=give_page, origins=origins) as server:
        print(f"open http://{HOSTS[0]}", flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    # Browsers open spare connections and hang up without a word, which is no reason for a traceback.
    logging.getLogger("websockets.server").addFilter(lambda record: record.msg != "opening handshake failed")
    with suppress(KeyboardInterrupt):
        asyncio.run(main(*sys.argv[1:2]))
