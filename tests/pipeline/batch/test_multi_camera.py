"""Several live sources in one process: streams and addresses of their own, one network, and none ends another."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from hamba_core.errors import ConfigurationError
from pipeline.batch.multi_camera import address_after, run_cameras
from pipeline.settings import load_settings
from stages.recording import read_recording

FIRST, SECOND = (f"synthetic:?live=1&seconds=2&width=160&height=120&hands=1&seed={seed}" for seed in (0, 1))


def outcome(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(capsys.readouterr().out)
    return tree


def test_each_source_is_a_stream_with_an_address_and_a_folder_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings("live", ["publish.address=tcp://127.0.0.1:*", "overlay.enabled=false"])
    assert run_cameras([FIRST, SECOND], settings, out=tmp_path, as_json=True) == 0
    found = outcome(capsys)["sources"]
    assert [source["stream"] for source in found] == ["hands-1", "hands-2"]
    assert all(source["report"]["state"] == "ended" and source["error"] is None for source in found)
    recordings = sorted(tmp_path.glob("*/hands.mcap"))
    assert len(recordings) == 2
    assert {read_recording(path).run.stream for path in recordings} == {"hands-1", "hands-2"}


def test_all_of_them_share_the_network(tiny_release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings("live", [f"reconstruct.checkpoint={tiny_release}", "publish.address=null"])
    assert run_cameras([FIRST, SECOND], settings, as_json=True) == 0
    for source in outcome(capsys)["sources"]:
        chosen = {choice["subject"]: choice["chosen"] for choice in source["report"]["choices"]}
        assert chosen["estimator"] == "hamba"
        assert "network shared by" in chosen


def test_a_source_that_fails_does_not_end_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    settings = load_settings("live", ["publish.address=null", "source.live.reconnect=false"])
    assert run_cameras([FIRST, "/dev/video97"], settings, as_json=True) == 3
    good, bad = outcome(capsys)["sources"]
    assert good["report"]["state"] == "ended"
    assert "/dev/video97" in bad["error"]


@pytest.fixture
def dying_camera() -> Iterator[str]:
    """The address of a camera that sends some pictures, hangs up, and answers nobody after that."""
    done, data = cv2.imencode(".jpg", np.full((120, 160, 3), 90, np.uint8))
    assert done
    part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(data) + bytes(data) + b"\r\n"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
                for _ in range(8):
                    client.sendall(part)
                    time.sleep(0.05)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join(10)


def test_one_that_dies_on_the_way_leaves_the_others_the_shared_network(
    tiny_release: Path, dying_camera: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings(
        "live", [f"reconstruct.checkpoint={tiny_release}", "publish.address=null", "source.live.reconnect=false"]
    )
    assert run_cameras([dying_camera, FIRST, SECOND], settings, as_json=True) == 3
    bad, *good = outcome(capsys)["sources"]
    assert "expected the stream to go on" in bad["error"]
    assert bad["report"]["frames"] > 0
    for source in good:
        assert source["error"] is None
        assert source["report"]["state"] == "ended"
        assert source["report"]["frames"] > 0


def test_ctrl_c_ends_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    endless = [source.replace("seconds=2", "seconds=600") for source in (FIRST, SECOND)]
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    assert run_cameras(endless, load_settings("live", ["publish.address=null"]), as_json=True) == 0
    found = outcome(capsys)["sources"]
    assert [source["report"]["state"] for source in found] == ["stopped", "stopped"]


def test_offline_is_refused_before_any_work() -> None:
    with pytest.raises(ConfigurationError, match="--preset live"):
        run_cameras([FIRST, SECOND], load_settings("offline"))


@pytest.mark.parametrize(
    ("address", "number", "expected"),
    [
        ("tcp://127.0.0.1:5557", 0, "tcp://127.0.0.1:5557"),
        ("tcp://127.0.0.1:5557", 2, "tcp://127.0.0.1:5559"),
        ("tcp://[::1]:5557", 1, "tcp://[::1]:5558"),
        ("tcp://127.0.0.1:*", 1, "tcp://127.0.0.1:*"),
        ("ipc:///tmp/hands", 1, "ipc:///tmp/hands-2"),
    ],
)
def test_addresses_follow_one_another(address: str, number: int, expected: str) -> None:
    assert address_after(address, number) == expected
