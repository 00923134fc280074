"""Passwords and tokens of addresses are in no output, file, file's name or recording of a run."""

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.commands.cli import app
from pipeline.terminal import run_app

SECRET = "SeKret"


class _Handler(BaseHTTPRequestHandler):
    content = b""

    def do_GET(self) -> None:
        if SECRET not in self.path:
            self.send_error(403)
            return
        start = int((self.headers.get("Range") or "bytes=0-").partition("=")[2].partition("-")[0])
        self.send_response(206 if "Range" in self.headers else 200)
        self.send_header("Content-Type", "video/mp4")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(self.content) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.end_headers()
        self.wfile.write(self.content[start:])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Where a short video is, for those who have the token."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for _ in range(4):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        container.mux(stream.encode())
    _Handler.content = path.read_bytes()
    path.unlink()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/clip.mp4?user=admin&password={SECRET}"
    server.shutdown()
    thread.join()
    server.server_close()


def assert_nowhere(folder: Path, *said: str) -> None:
    for text in said:
        assert SECRET.lower() not in text.lower()
    for path in folder.rglob("*"):
        assert SECRET.lower() not in str(path).lower()
        if path.is_file():
            assert SECRET.lower().encode() not in path.read_bytes().lower(), path


@pytest.mark.parametrize("in_file", [False, True])
def test_a_run_leaves_no_secret_anywhere(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture, in_file: bool,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    where = [server]
    if in_file:
        (tmp_path.parent / "sources").write_text(f"# the lab's camera\n\n{server}\n")
        where = ["--source-file", str(tmp_path.parent / "sources")]
    options = ["--preset", "offline", "--estimator", "landmarks", "--json"]
    assert run_app(app, ["run", *where, *options]) == 0
    (folder,) = (tmp_path / "out").iterdir()
    assert {"hands.mcap", "summary.json", "overlay.mp4"} <= {path.name for path in folder.iterdir()}
    assert run_app(app, ["info", str(folder)]) == 0
    assert run_app(app, ["run", *where, *options, "--out", str(folder)]) == 2
    said = capfd.readouterr()
    assert "password=***" in said.out
    assert_nowhere(tmp_path, said.out, said.err, caplog.text)


ERRORS = [
    ["rtsp://admin:SeKret@127.0.0.1:1/x"],
    ["rtsp://admin:Se/SeKret@127.0.0.1:1/x", "--json"],
    ["rtsp://admin:SeKret@127.0.0.1:1/x", "rtsp://admin:SeKret@127.0.0.1:1/x"],
    ["rtsp://admin:SeKret@127.0.0.1:1/x", "rtsp://admin:SeKret@127.0.0.1:1/y", "--out", "cameras", "--json"],
    ["rtsp://admin:SeKret@127.0.0.1:1/x", "rtsp://admin:SeKret@127.0.0.1:1/y", "--preset", "offline"],
    ["http://127.0.0.1:1/a.mp4?token=SeKret", "missing.mp4", "--out", "batch", "--json"],
    ["http://127.0.0.1:1/a.mp4?token=SeKret", "missing.mp4", "--resume", "--out", "batch"],
    ["rtsp://admin:SeKret@127.0.0.1:1/x", "--export", "glb"],
    ["rtsp:/admin:SeKret@127.0.0.1/x", "--jobs", "1"],
    ["foo://SeKret@127.0.0.1/x"],
    ["admin:SeKret@127.0.0.1/x", "--set", "no.such=1"],
    ["rtsp://admin:SeKret@127.0.0.1:1/x", "--no-such-option"],
]


@pytest.mark.parametrize("arguments", ERRORS, ids=map(str, range(len(ERRORS))))
def test_an_error_tells_no_secret(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run_app(app, ["run", *arguments, "--debug"]) != 0
    said = capfd.readouterr()
    assert said.err + said.out
    assert_nowhere(tmp_path, said.out, said.err, caplog.text)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_process_of_a_run_has_the_secret_in_its_command_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/clip.mp4?token={SECRET}"
        program = "from pipeline.commands.cli import main; main()"
        arguments = [
            "run",
            "--source-file",
            "-",
            "--preset",
            "offline",
            "--out",
            "out",
        ]
        run = subprocess.Popen(
            [sys.executable, "-c", program, *arguments],
            cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        assert run.stdin is not None
        run.stdin.write(f"{address}\n".encode())
        run.stdin.close()
        silent.settimeout(60)
        try:
            connection, _ = silent.accept()  # the address is being opened
            request = connection.recv(10_000)
            assert SECRET.encode() in request
            lines = {path: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()}
            assert any(b"--source-file" in line for line in lines.values())
            assert not [path for path, line in lines.items() if SECRET.encode() in line]
            connection.close()
        finally:
            run.kill()
            run.wait()


@pytest.mark.parametrize("command", ["demo", "view", "web", "record", "play", "info", "export", "run --address"])
def test_an_address_where_none_belongs_is_not_told(command: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, [*command.split(), "rtsp://admin:SeKret@127.0.0.1/x"]) == 2
    assert SECRET not in "".join(capfd.readouterr())


def test_a_source_file_that_is_none_and_no_source_at_all_are_errors(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["run", "--source-file", "no/such"]) == 2
    assert run_app(app, ["run"]) == 2
    assert "a source a line" in capfd.readouterr().err
