"""A publisher to watch, a screen to watch on, and eyes: where a picture has the colour of a hand."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from numpy.typing import NDArray

from hamba_core.camera import Intrinsics
from stages.packets import ClockAnchor, FrameResult, Percentiles, RunInfo, Status
from stages.publishing import Publisher, PublishSettings

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Stage:
    """A publisher that a test puts hands on. Frames are numbered and stamped when they are shown."""

    def __init__(self, run: RunInfo, address: str = "tcp://127.0.0.1:*", *, images: bool = False) -> None:
        self.run = replace(run, clock=ClockAnchor(time.monotonic_ns(), time.time_ns()))
        self.publisher = Publisher(PublishSettings(address=address, images=images))
        self.publisher.open(self.run)
        self.address = self.publisher.address
        self.index = 0

    def show(self, result: FrameResult) -> None:
        """Publish these hands now."""
        frame = replace(result.frame, index=self.index, captured_ns=time.monotonic_ns())
        self.publisher.write(replace(result, frame=frame))
        self.index += 1

    def say(self, state: str = "running", reason: str = "") -> None:
        """Publish the state of the run."""
        nothing = Percentiles(nan, nan, nan)
        self.publisher.status(Status(self.run.stream, state, reason, 1.0, self.index, 0, 30.0, nothing, (), (), {}))

    def leave(self, state: str = "ended", reason: str = "") -> None:
        """End as a run does."""
        self.say(state, reason)
        self.publisher.close()


MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(make_run: Callable[..., RunInfo]) -> Iterator[MakeStage]:
    """make_stage(address, images=...) -> Stage; closed at the end."""
    stages: list[Stage] = []

    def make(address: str = "tcp://127.0.0.1:*", *, images: bool = False, run: RunInfo | None = None) -> Stage:
        stages.append(Stage(run or make_run(), address, images=images))
        return stages[-1]

    yield make
    for stage in stages:
        stage.publisher.close()


@pytest.fixture(scope="session")
def until() -> Callable[..., None]:
    """until(condition, seconds) waits for what others bring about; fails if it does not come."""

    def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.005)

    return wait


@pytest.fixture(scope="session")
def screen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A screen of its own for this test run (Xvfb), as the environment that leads to it; also set in this process."""
    if shutil.which("Xvfb") is None:
        pytest.skip("needs a screen: Xvfb is not installed (apt-get install xvfb)")
    reader, writer = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writer), "-screen", "0", "1280x900x24", "-nolisten", "tcp"],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
    )
    os.close(writer)
    with os.fdopen(reader) as numbers:
        number = numbers.readline().strip()
    assert number, "Xvfb did not start"
    runtime = tmp_path_factory.mktemp("runtime")
    own = {"DISPLAY": f":{number}", "XDG_RUNTIME_DIR": str(runtime)}
    before = {name: os.environ.get(name) for name in (*own, "WAYLAND_DISPLAY")}
    os.environ.pop("WAYLAND_DISPLAY", None)
    os.environ.update(own)
    yield {name: value for name, value in os.environ.items() if name != "WAYLAND_DISPLAY"}
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    server.terminate()
    server.wait()


class Browser:
    """Headless Chromium, driven over its DevTools protocol. One page at a time."""

    FLAGS = (
        "--headless", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--disable-quic",
        "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--remote-debugging-port=0", "--force-device-scale-factor=1",
    )  # fmt: skip

    def __init__(self, program: str, profile: Path, size: tuple[int, int]) -> None:
        from websockets.sync.client import connect

        self.process = subprocess.Popen(
            [program, *self.FLAGS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={profile}", "about:blank"],
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
