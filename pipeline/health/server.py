"""A small HTTP server answers supervisors beside a run: /alive, /ready and /metrics."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from hamba_core.errors import ConfigurationError, OutputError
from hamba_core.packages import needed_for
from pipeline.health.health import Answer, Health

_ADDRESS = re.compile(r"(?:(?P<host>[\w.-]+|\[[\da-fA-F:.]+\]):)?(?P<port>\d{1,5})")


@contextmanager
def health_server(address: str) -> Iterator[Health]:
    """Answer on PORT or HOST:PORT while the block runs, and give what its runs tell their status to.

    Without a host, this machine alone is answered (127.0.0.1). Raises ConfigurationError for what is no address,
    OutputError where the port cannot be had, DependencyError without prometheus_client.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or not int(found["port"]) < 65536:
        raise ConfigurationError(f"--health: expected PORT or HOST:PORT, with a port below 65536, found {address!r}")
    with needed_for("--health"):
        from prometheus_client import CollectorRegistry

        from pipeline.health.metrics import RunMetrics
    health = Health()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(RunMetrics(health))
    try:
        server = ThreadingHTTPServer(
            ((found["host"] or "127.0.0.1").strip("[]"), int(found["port"])), partial(_Handler, health, registry)
        )
    except OSError as error:
        raise OutputError(
            f"--health {address}: expected a port to answer on, found: {error.strerror}; name another"
        ) from error
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="health", daemon=True)
    thread.start()
    try:
        yield health
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    timeout = 5  # s; a client that says nothing is left

    def __init__(self, health: Health, registry: Any, *args: Any) -> None:
        self._health, self._registry = health, registry
        super().__init__(*args)

    def do_GET(self) -> None:
        """Answer: 200 for yes and 503 for no, with the reason as text, or the numbers."""
        from prometheus_client.exposition import choose_encoder

        path = self.path.partition("?")[0].rstrip("/")
        if path == "/metrics":
            try:
                encode, kind = choose_encoder(self.headers.get("Accept", ""))
            except (TypeError, ValueError):  # versions that are none
                encode, kind = choose_encoder("")
            self._send(200, kind, encode(self._registry))
        elif path in ("/alive", "/ready"):
            answer: Answer = self._health.alive() if path == "/alive" else self._health.ready()
            self._send(200 if answer.yes else 503, "text/plain; charset=utf-8", f"{answer.reason}\n".encode())
        else:
            self._send(404, "text/plain; charset=utf-8", b"expected /alive, /ready or /metrics\n")

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep requests out of the run's output."""
