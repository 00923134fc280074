"""Makes viewer.png and web.png: the shipped clip, run live, in the window and in the browser page.

xvfb-run -a -s "-screen 0 1280x900x24" python docs/images/make_viewers.py   # needs Xvfb and Chromium
"""

import base64
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
from chromium import CHROMIUM
from websockets.sync.client import connect

from stages.assets import CLIP
from viewers.client import HandClient
from viewers.web import HandPage
from viewers.window import HandWindow

HERE = Path(__file__).parent
ADDRESS = "tcp://127.0.0.1:5597"
PAGE = ("--remote-debugging-port=0", "--window-size=1000,640")


def follow(client: HandClient, step: Callable[[], object], frame: int) -> None:
    """Run the clip until this frame of it is shown, with its picture."""
    run = subprocess.Popen(
        [sys.executable, "-c", "from pipeline.commands.cli import main; main()", "run", str(CLIP), "--preset", "live",
         "--address", ADDRESS, "--set", "publish.images=true"],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while client.pictured is None or client.pictured.result.frame.index < frame:
            step()
        step()
    finally:
        run.kill()
        run.wait()


def window() -> Any:
    """Through the camera and from anywhere, side by side."""
    with HandClient(ADDRESS, images=True) as client, tempfile.TemporaryDirectory() as folder:
        window, views = HandWindow(client, width=640, height=480, words=False), []
        follow(client, window.step, 30)  # an OK sign and an open hand
        for number in range(2):
            path = Path(folder) / f"{number}.png"
            window.screenshot(path)
            views.append(np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)))
            window.switch_view()
            window.step()
        window.close()
    return np.hstack(views)


def page() -> Any:
    """The page in a browser."""
    with HandClient(ADDRESS, images=True) as client:
        page = HandPage(client, port=0)
        with browser(page.address) as call:
            follow(client, page.step, 90)  # a fist and three fingers
            # What Chromium says about a machine without a GPU is not ours to show.
            close = "document.querySelectorAll('.mantine-Notification-closeButton').forEach(button => button.click())"
            call("Runtime.evaluate", expression=close)
            time.sleep(3)
            data = base64.b64decode(call("Page.captureScreenshot")["data"])
        page.close()
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


@contextmanager
def browser(address: str) -> Iterator[Callable[..., Any]]:
    """A browser with this page open, and how to call its DevTools."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        chromium = subprocess.Popen(
            [*CHROMIUM, *PAGE, f"--user-data-dir={profile}", "about:blank"], stderr=subprocess.DEVNULL
        )
        port = Path(profile) / "DevToolsActivePort"
        while not port.exists() or "\n" not in port.read_text():
            time.sleep(0.1)
        with urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json") as tabs:
            [tab] = [tab for tab in json.load(tabs) if tab["type"] == "page"]
        with connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
            calls = 0

            def call(method: str, **parameters: Any) -> Any:
                nonlocal calls
                calls += 1
                socket.send(json.dumps({"id": calls, "method": method, "params": parameters}))
                while (answer := json.loads(socket.recv())).get("id") != calls:
                    pass
                return answer["result"]

            call("Page.navigate", url=address)
            time.sleep(8)
            yield call
        chromium.terminate()
        chromium.wait()


if __name__ == "__main__":
    # Smaller than the windows are, so that the files are small too.
    both = cv2.resize(window(), (1024, 384), interpolation=cv2.INTER_AREA)
    for name, picture in (("viewer.png", both), ("web.png", page())):
        cv2.imwrite(str(HERE / name), picture[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 9])
