"""A browser, and eyes: where a picture has the colour of a hand."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray

from hamba_core.view import Intrinsics
from stages.contract import Sink
from stages.packets import FrameResult, RunInfo, Status
from stages.recording import Recorder, read_recording
from viewers.player import Player

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


WITHOUT_PRIORITY = ("setpriv", "--bounding-set=-sys_nice", "--inh-caps=-sys_nice") if os.geteuid() == 0 else ()
"""Of root's threads Chromium lets some go before all others, and here they draw in software."""


class Nowhere(Sink):
    """Takes what is played."""

    name = "nowhere"

    def open(self, run: RunInfo) -> None: ...

    def write(self, result: FrameResult) -> None: ...

    def status(self, status: Status) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def player(make_run: Callable[..., RunInfo], make_result: Callable[..., FrameResult], tmp_path: Path) -> Player:
    """A player of a recording of 20 s, a frame a second, that is not playing yet."""
    recorder = Recorder(tmp_path / "hands.mcap")
    recorder.open(make_run(live=True))
    for index in range(21):
        recorder.write(make_result(index, 1, pts=float(index), captured_ns=1_000_000_000 * (1 + index)))
    recorder.close()
    return Player(read_recording(tmp_path / "hands.mcap"), Nowhere())


class Browser:
    """Headless Chromium, driven over its DevTools protocol. One page at a time."""

    FLAGS = (
        "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--remote-debugging-port=0", "--force-device-scale-factor=1",
        # Pages of Chromium's own for its address bar, which nobody sees and which took a core here.
        "--disable-features=PreloadTopChromeWebUI,WebUIOmniboxPopup,WebUIOmniboxAimPopup",
    )  # fmt: skip

    def __init__(self, program: str, profile: Path, size: tuple[int, int]) -> None:
        from websockets.sync.client import connect

        self.process = subprocess.Popen(
            [
                *WITHOUT_PRIORITY,
                program,
                *self.FLAGS,
                f"--window-size={size[0]},{size[1]}",
                f"--user-data-dir={profile}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        ready, deadline = profile / "DevToolsActivePort", time.monotonic() + 60
        while not ready.exists() or "\n" not in ready.read_text():
            assert time.monotonic() < deadline, "Chromium did not start"
            assert self.process.poll() is None, "Chromium ended at once"
            time.sleep(0.05)
        with urlopen(f"http://127.0.0.1:{ready.read_text().split()[0]}/json") as answer:
            [tab] = [tab for tab in json.load(answer) if tab["type"] == "page"]
        self._socket = connect(tab["webSocketDebuggerUrl"], max_size=None)
        self._calls = 0

    def call(self, method: str, **parameters: Any) -> Any:
        """One DevTools call and its result."""
        self._calls += 1
        self._socket.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, address: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=address)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        return self.call("Runtime.evaluate", expression=script)["result"].get("value")

    def text(self) -> str:
        """What a person reads on the page."""
        return str(self.run("document.body ? document.body.innerText : ''"))

    def look(self) -> Pixels:
        """A picture of the page."""
        import cv2

        data = base64.b64decode(self.call("Page.captureScreenshot")["data"])
        return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)

    def close(self) -> None:
        self._socket.close()
        self.process.terminate()
        self.process.wait(30)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser with a page of about 800x600."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs a browser: Chromium is not installed (apt-get install chromium)")
    browser = Browser(program, tmp_path_factory.mktemp("profile"), (800, 600))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def of_color() -> Callable[[Pixels, tuple[int, int, int]], Mask]:
    """of_color(picture, rgb) -> (H, W): where the picture has this hue, however it is lit."""

    def find(picture: Pixels, rgb: tuple[int, int, int]) -> Mask:
        pixels, wanted = picture.astype(float), np.array(rgb, float)
        pixels, wanted = pixels - pixels.mean(-1, keepdims=True), wanted - wanted.mean()
        strength = np.linalg.norm(pixels, axis=-1)
        along = pixels @ wanted / np.linalg.norm(wanted) / np.maximum(strength, 1e-9)
        mask: Mask = (along > 0.93) & (strength > 25)
        return mask

    return find


@pytest.fixture(scope="session")
def silhouette() -> Callable[..., Mask]:
    """silhouette(vertices, faces, camera, width, height) -> (H, W): where the hand must be seen."""

    def draw(
        vertices: NDArray[np.floating], faces: NDArray[np.integer], camera: Intrinsics, width: int, height: int
    ) -> Mask:
        import cv2

        canvas = np.zeros((height, width), np.uint8)
        corners = np.rint(camera.project(vertices)[faces] - 0.5).astype(np.int32)
        for triangle in corners:
            cv2.fillConvexPoly(canvas, triangle, 255)
        return canvas > 0

    return draw
