"""FFmpeg's own Video4Linux reader and our questions to the kernel, on a camera that answers as a driver does.

The camera is `stand_in.c`, loaded before the C library in a child process: nothing of FFmpeg or of ours is replaced.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).parents[4]
PERIOD = 33_333_333  # ns, as in the C file

Run = Callable[..., Any]

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="it stands in for Linux's kernel"),
    pytest.mark.skipif(shutil.which("cc") is None, reason="it needs a C compiler"),
]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled stand-in."""
    path = tmp_path_factory.mktemp("stand_in") / "stand_in.so"
    source = Path(__file__).with_name("stand_in.c")
    done = subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", path, source, "-ldl"], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"it does not compile here: {done.stderr[-300:]}")
    return path


@pytest.fixture
def run(library: Path, tmp_path: Path) -> Run:
    """run(program) -> what the program puts into `told`, run beside a camera that is video0."""
    (tmp_path / "video0").touch()
    (tmp_path / "state").write_text("ok")
    cv2.imwrite(str(tmp_path / "picture.jpg"), np.full((720, 1280, 3), (20, 60, 200), np.uint8))
    head = f"""
import json, sys, threading, time
from pathlib import Path
folder = Path({str(tmp_path)!r})
from hamba_core.errors import HambaError
from stages.sources import SourceSettings, source_for
from stages.sources.cameras import list_cameras, video4linux
video4linux.KERNEL.folder = folder
told = {{}}
def be(state):
    (folder / "new").write_text(state)
    (folder / "new").replace(folder / "state")
def some(frames, count):
    found = []
    for frame in frames:
        if frame is not None:
            found.append(frame)
        if len(found) == count:
            return found
"""

    def start(program: str, timeout: float = 100) -> Any:
        environment = {**os.environ, "LD_PRELOAD": str(library), "STAND_IN": str(tmp_path), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, "-c", head + program + "\nprint(json.dumps(told))"],
            env=environment, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return start


def test_pictures_come_in_the_mode_that_was_chosen_at_the_times_that_the_driver_says(run: Run) -> None:
    told = run("""
told["cameras"] = [str(camera) for camera in list_cameras()]
source = source_for("camera:stand-in")
info = source.open()
frames = some(source.frames(), 12)
told["size"], told["rate"] = [info.width, info.height], info.fps
told["colour"] = frames[5].image[100, 100].tolist()
told["taken"] = [frame.meta.captured_ns for frame in frames]
told["captured_by"] = [frame.meta.captured_by for frame in frames]
told["chosen"] = [choice.chosen for choice in source.choices()]
source.close()
""")
    assert told["cameras"] == ["0 (Stand-in Camera)"]
    assert told["size"] == [1280, 720]
    assert told["rate"] == 30
    assert np.abs(np.array(told["colour"]) - (200, 60, 20)).max() < 8
    assert "FFmpeg v4l2, mjpeg" in told["chosen"]
    assert set(told["captured_by"]) == {"driver"}
    # Times of arrival would not be on the driver's grid to the microsecond.
    steps = np.diff(told["taken"]) / PERIOD
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert steps.min() > 0.9


def test_raw_pictures_are_taken_where_they_fit(run: Run) -> None:
    told = run("""
source = source_for("0", SourceSettings(camera={"width": 640, "height": 480}))
told["size"] = [source.open().width, source.open is not None]
told["colour"] = some(source.frames(), 2)[1].image[100, 100].tolist()
told["chosen"] = [choice.chosen for choice in source.choices()]
source.close()
""")
    assert told["size"][0] == 640
    assert "FFmpeg v4l2, rawvideo" in told["chosen"]
    assert np.ptp(told["colour"]) <= 2
    assert abs(told["colour"][0] - 128) < 8


def test_a_camera_that_another_program_has_is_said_to_be_in_use(run: Run) -> None:
    told = run("""
be("busy")
source = source_for("0")
try:
    source.open()
except HambaError as error:
    told["error"] = str(error)
source.close()
""")
    assert "0 (Stand-in Camera) in use by another program" in told["error"]


def test_a_camera_that_was_unplugged_comes_back_under_another_number(run: Run) -> None:
    told = run("""
source = source_for("0", SourceSettings(live={"reconnect_timeout": 60}))
source.open()
frames = source.frames()
told["before"] = len(some(frames, 5))
be("gone")
(folder / "video0").unlink()
last = None
while (frame := next(frames)) is not None:
    last = frame
(folder / "video4").touch()
be("ok")
after = some(frames, 5)
told["indices"] = [frame.meta.index for frame in after]
told["times"] = [frame.meta.pts for frame in after]
told["chosen"] = [choice.reason for choice in source.choices()]
source.close()
""")
    assert told["before"] == 5
    assert np.diff(told["indices"]).tolist() == [1, 1, 1, 1]
    assert np.diff(told["times"]).min() > 0
    assert any(reason.endswith("video4 opened") for reason in told["chosen"])


def test_what_comes_after_a_stall_is_new(run: Run) -> None:
    told = run("""
source = source_for("0")
source.open()
frames = source.frames()
some(frames, 5)
be("stalled")
while next(frames) is not None:
    pass
time.sleep(2)
resumed = time.monotonic_ns()
be("ok")
some(frames, 3)
told["late"] = [(frame.meta.captured_ns - resumed) / 1e9 for frame in some(frames, 5)]
source.close()
""")
    assert min(told["late"]) > -0.2, "pictures of before the stall came after it"


def test_a_slow_reader_sees_new_pictures_not_those_that_waited(run: Run) -> None:
    told = run("""
source = source_for("0")
source.open()
frames, ages, begin = source.frames(), [], time.monotonic()
while time.monotonic() - begin < 4:
    (frame,) = some(frames, 1)
    ages.append(time.monotonic() - frame.meta.captured_ns / 1e9)
    time.sleep(0.25)
told["ages"], told["skipped"] = ages, source.skipped()
source.close()
""")
    # At 4 of 30 pictures a second, 26 pictures more would wait after each second, and the last be over 3 s old.
    assert np.median(told["ages"][-4:]) < 1.5
    assert sum(told["skipped"].values()) > 20


def test_a_run_on_a_camera_that_gives_nothing_can_be_closed(run: Run) -> None:
    told = run("""
source = source_for("0")
source.open()
frames = source.frames()
some(frames, 2)
be("stalled")
while next(frames) is not None:
    pass
begin = time.monotonic()
source.close()
told["seconds"] = time.monotonic() - begin
be("ok")
""")
    assert told["seconds"] < 10  # it would wait for ever


@pytest.mark.slow
@pytest.mark.timeout(700)
def test_nothing_is_left_behind_by_a_camera_that_comes_and_goes(run: Run) -> None:
    program = """
import os
source = source_for("0", SourceSettings(live={"reconnect_timeout": 60}))
source.open()
frames = source.frames()
some(frames, 3)
told["left"] = []
for cycle in range(200):
    be("gone")
    while next(frames) is not None:
        pass
    be("ok")
    some(frames, 3)
    if cycle % 40 == 39:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        told["left"].append([len(os.listdir("/proc/self/fd")), threading.active_count(), pages * 4096 / 2**20])
source.close()
"""
    told = run(program, timeout=600)
    descriptors, threads, megabytes = zip(*told["left"], strict=True)
    assert len(set(descriptors)) == 1
    assert len(set(threads)) == 1
    # A picture that waited for the garbage collector after each connection made it 90 MB.
    assert megabytes[-1] - megabytes[0] < 8
