"""Makes export.jpg: moments of the shipped clip's hands out of a GLB file, in three.js.

hamba demo --out out/demo && hamba export out/demo/hands.mcap --to glb
python docs/images/make_export.py out/demo/hands.glb FOLDER_WITH_NODE_MODULES   # npm install three; needs Chromium
"""

import base64
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from chromium import CHROMIUM

HERE = Path(__file__).parent
PRINTED = ("--virtual-time-budget=60000", "--dump-dom")
VIEWS = (
    ("eye=0,0.02,0.14&target=0.01,-0.035,-0.5&seconds=1.5", ""),
    ("eye=0.44,0.17,-0.06&target=0.03,-0.065,-0.53&seconds=3.4", ""),
    ("eye=-0.40,0.13,-0.10&target=0,-0.06,-0.53&seconds=1.5", "&bones=1"),
)


class Files(SimpleHTTPRequestHandler):
    """The page, a GLB file and npm's packages, from where each of them lies."""

    def __init__(self, *arguments: Any, glb: Path, packages: Path) -> None:
        self._places = {"/export.html": HERE / "export.html", "/hands.glb": glb}
        self._packages = packages
        super().__init__(*arguments)

    def translate_path(self, path: str) -> str:
        place = path.partition("?")[0]
        return str(self._places.get(place, self._packages / place.removeprefix("/")))

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def served(glb: Path, packages: Path) -> Iterator[str]:
    """The page's address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, glb=glb, packages=packages)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/export.html"
        server.shutdown()


def pictures(address: str, query: str) -> list[Any]:
    """What the page shows, (H, W, 4) BGRA each."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [*CHROMIUM, *PRINTED, f"--user-data-dir={profile}", f"{address}?file=hands.glb&{query}"]
        page = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", page)
    return [cv2.imdecode(np.frombuffer(base64.b64decode(each), np.uint8), cv2.IMREAD_UNCHANGED) for each in found]


if __name__ == "__main__":
    glb, packages = map(Path, sys.argv[1:])
    with served(glb, packages) as address:
        # Drawn at twice the size, so that edges are smooth.
        shown = [pictures(address, f"width=1120&height=1000&fov=36&studio=1&{view}{more}") for view, more in VIEWS]
    row = np.hstack([cv2.resize(one[..., :3], (560, 500), interpolation=cv2.INTER_AREA) for [one] in shown])
    cv2.imwrite(str(HERE / "export.jpg"), row, [cv2.IMWRITE_JPEG_QUALITY, 88])
