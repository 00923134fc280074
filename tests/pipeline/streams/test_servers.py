"""Other people's servers: GStreamer's for RTSP, and FFmpeg's. They are installed by `make servers`."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stages.assets import CLIP
from tests.pipeline.streams.harness import Consumer, conserved

pytestmark = pytest.mark.slow

PYTHON = "/usr/bin/python3"
PROGRAM = Path(__file__).resolve().parents[2] / "stages/sources/live/cameras/gstreamer_server.py"
KEY_INTERVAL = 1.0
SLACK = 0.5


def has_gstreamer() -> bool:
    check = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import Gst, GstRtspServer; "
    check += "Gst.init(None); assert Gst.ElementFactory.find('x264enc') and Gst.ElementFactory.find('rtph264pay')"
    try:
        return subprocess.run([PYTHON, "-c", check], capture_output=True).returncode == 0
    except OSError:
        return False


@contextmanager
def gstreamer(port: str = "0", *numbers: int) -> Iterator[str]:
    """The address of GStreamer's RTSP server."""
    command = [PYTHON, str(PROGRAM), port, *(str(number) for number in numbers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"rtsp://127.0.0.1:{process.stdout.readline().strip()}/live"
        finally:
            process.kill()


needs_gstreamer = pytest.mark.skipif("not has_gstreamer()", reason="GStreamer's RTSP server is not installed")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="the ffmpeg program is not installed")


@needs_gstreamer
@pytest.mark.parametrize("numbers", [(320, 240, 30, 30), (1280, 720, 60, 60)])
def test_results_of_gstreamers_stream_are_new_whatever_holds_them_up(numbers: tuple[int, int, int, int]) -> None:
    with gstreamer("0", *numbers) as address, Consumer(address) as run:
        run.wait_for_results(30)
        again = run.hold(6)
        run.wait_for_results(30)
        bound = 2 / numbers[2] + KEY_INTERVAL + SLACK
        assert max(result["age"] for result in run.since(again)[2:]) < bound
        begin = time.monotonic()
        run.hold_to(0.3, 10)
        held = run.since(begin + 2)
        assert len(held) > 10
        assert max(result["age"] for result in held) < bound
        assert held[-1]["by"] == "sender reports"
        off = sorted(abs(result["age"] - result["said"]) for result in held)
        assert off[len(off) // 2] < 0.05
        assert run.stop()[0] == 0
        assert conserved(run.report)


@needs_gstreamer
def test_gstreamers_server_that_is_restarted_is_picked_up() -> None:
    with gstreamer() as address:
        port = address.split(":")[2].split("/")[0]
        run = Consumer(address)
        run.wait_for_results(20)
    with run:
        run.wait_for(lambda: run.state == "lost", 10)
        time.sleep(3)
        with gstreamer(port):
            begin = time.monotonic()
            run.wait_for_results(5)
            assert run.since(begin)[0]["at"] - begin < 2.0 + KEY_INTERVAL + 2 * SLACK
            assert run.stop()[0] == 0
        assert conserved(run.report)


@needs_ffmpeg
@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        *(("udp", ["-f", "mpegts"]), ("tcp", ["-f", "mpegts"]), ("tcp", ["-f", "h264"]), ("http", ["-f", "mpegts"])),
        *(("udp", ["-c:v", "mjpeg", "-f", "mjpeg"]), ("http", ["-c:v", "mjpeg", "-f", "mjpeg"])),
    ],
)
def test_a_clip_that_ffmpeg_sends_again_and_again(scheme: str, options: list[str]) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    listen = {"udp": "?pkt_size=1316", "tcp": "?listen=1", "http": ""}[scheme]
    server = ["-listen", "1"] if scheme == "http" else []
    clip = ["-re", "-stream_loop", "-1", "-i", str(CLIP), "-an", "-c:v", "libx264", "-tune", "zerolatency", "-g", "15"]
    command = ["ffmpeg", "-loglevel", "error", *clip, "-preset", "ultrafast", *options, *server]
    with subprocess.Popen([*command, f"{scheme}://127.0.0.1:{port}{listen}"]) as process:
        try:
            with Consumer(f"{scheme}://127.0.0.1:{port}", wait=True) as run:
                run.wait_for(lambda: len(run.results) >= 150, 60)
                assert run.stop()[0] == 0
                spans = run.results[-1]["pts"] - run.results[20]["pts"], run.results[-1]["at"] - run.results[20]["at"]
                assert spans[0] == pytest.approx(spans[1], abs=0.5)
                assert conserved(run.report)
        finally:
            process.kill()
