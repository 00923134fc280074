"""Starts the camera of `server`, changes it, kills it and lets it come back."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[5]
PROGRAM = "tests.stages.sources.live.cameras.server"
SCHEMES = {
    "rtsp": "rtsp",
    "http": "http",
    "http-h264": "http",
    "http-mjpeg": "http",
    "tcp-h264": "tcp",
    "tcp-mjpeg": "tcp",
}


class CameraServer:
    """A camera on a port of the loopback; a `with` block ends it."""

    def __init__(self, kind: str, **behaviour: Any) -> None:
        self._kind = kind
        self._behaviour = behaviour
        self._port = 0
        self._process: subprocess.Popen[str] | None = None
        self.start()

    @property
    def address(self) -> str:
        return f"{SCHEMES[self._kind]}://127.0.0.1:{self._port}/live"

    def start(self) -> None:
        """Start it, after `kill` on the same port."""
        command = [sys.executable, "-m", PROGRAM, self._kind, str(self._port), json.dumps(self._behaviour)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        if self._process.stdout is not None:
            self._port = int(self._process.stdout.readline())

    def tell(self, **changes: Any) -> None:
        """Change how it behaves, and keep to it after it was killed."""
        self._behaviour.update(changes)
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(changes) + "\n")
            self._process.stdin.flush()

    def kill(self) -> None:
        """Let it die without a word."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
            self._process = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
