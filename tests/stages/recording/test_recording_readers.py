"""Recordings in the hands of MCAP's and Foxglove's own tools: the readers for Python and for JavaScript."""

import json
import math
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mcap.reader import SeekingReader, make_reader

from stages.packets import FrameResult, Percentiles, RunInfo, Status
from stages.recording import Recorder, mcap_file

READER = Path(__file__).with_name("read_recording.mjs")
PACKAGES = ("@mcap/core@2.2.2", "@mcap/support@1.1.0")
FRAMES = 60

MakeResult = Callable[..., FrameResult]
MakeRun = Callable[..., RunInfo]


STATUS = Status("hands", "running", "", 2.0, FRAMES, 2, 30.0, Percentiles(math.nan, math.nan, math.nan), (), (), {})


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, make_run: MakeRun, make_result: MakeResult) -> Path:
    """Two hands in 60 frames, in several chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mcap_file, "CHUNK_BYTES", 500_000)
        path = tmp_path_factory.mktemp("whole") / "hands.mcap"
        recorder = Recorder(path)
        recorder.open(make_run())
        for i in range(FRAMES):
            recorder.write(make_result(i))
        recorder.status(replace(STATUS, state="ended"))
        recorder.close()
        return path


@pytest.fixture(scope="module")
def read_in_javascript(request: pytest.FixtureRequest) -> Callable[[Path], dict[str, Any]]:
    """read_in_javascript(path) -> what READER finds; its packages are kept in pytest's cache."""
    if not (shutil.which("npm") and shutil.which("node")):
        pytest.skip("needs Node.js: node and npm are not installed (apt-get install nodejs npm)")
    if request.config.cache is None:
        pytest.skip("needs pytest's cache, for packages of npm")
    folder = request.config.cache.mkdir("node-mcap")
    if not all((folder / "node_modules" / package.rpartition("@")[0]).is_dir() for package in PACKAGES):
        command = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), *PACKAGES]
        if (done := subprocess.run(command, capture_output=True, text=True, timeout=100)).returncode:
            pytest.skip(f"needs packages of npm, which could not be had: {done.stderr.strip()[-200:]}")
    script = shutil.copy(READER, folder)

    def read(path: Path) -> dict[str, Any]:
        done = subprocess.run(["node", script, str(path)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    return read


def test_pythons_reader_seeks_by_the_index(recording: Path, make_run: MakeRun) -> None:
    reader = make_reader(BytesIO(recording.read_bytes()), validate_crcs=True)
    assert isinstance(reader, SeekingReader)
    summary = reader.get_summary()
    assert summary
    assert len(summary.chunk_indexes) > 5
    start = make_run().clock.unix_ns
    late = reader.iter_messages(["hands/hands"], starting_at=start + 1_500_000_000)
    assert [message.sequence for _, _, message in late] == list(range(45, FRAMES))
    backwards = reader.iter_messages(["hands/hands"], reverse=True)
    assert [message.sequence for _, _, message in backwards] == list(range(FRAMES))[::-1]


def test_javascripts_readers_find_everything_with_and_without_the_index(
    recording: Path, read_in_javascript: Callable[[Path], dict[str, Any]], make_result: MakeResult, make_run: MakeRun
) -> None:
    found = read_in_javascript(recording)
    counts = {
        "hands/hands": FRAMES, "model/hands": 1, "status/hands": 1, "scene/hands": FRAMES, "camera/hands": 1,
        "transform/hands": 1,
    }  # fmt: skip
    assert found["streamed"] == {"counts": counts, "done": True}
    indexed = found["indexed"]
    assert indexed["counts"] == counts
    assert indexed["statistics"] == sum(counts.values())
    assert indexed["chunks"] > 5
    # Times are in microseconds from the first message; the middle of 59 intervals lies before frame 30.
    assert indexed["sought"] == [round(i / 30 * 1e9) // 1000 for i in range(30, FRAMES)]
    assert indexed["attachments"]["run.json"]["source"]["name"] == "clip.mp4"
    assert indexed["attachments"]["run.json"]["settings"] == {"mode": "offline"}
    assert indexed["attachments"]["report.json"]["state"] == "ended"
    assert indexed["metadata"]["hamba"]["version hamba-stream"] == "0.1.0"
    topology = make_run().topology
    for i, entities in enumerate(indexed["scenes"]):
        for entity, hand in zip(entities, make_result(i).hands, strict=True):
            assert entity["id"] == f"hand {hand.track_id}"
            assert entity["points"] == topology.vertices
            assert entity["indices"] == topology.faces_right.size
            wrist = [entity["wrist"][axis] for axis in "xyz"]
            np.testing.assert_allclose(wrist, hand.joints[0], atol=1e-4)


def test_javascripts_reader_opens_a_recording_at_any_moment_while_it_is_written(
    tmp_path: Path, read_in_javascript: Callable[[Path], dict[str, Any]], make_run: MakeRun, make_result: MakeResult
) -> None:
    path = tmp_path / "hands.mcap"
    recorder = Recorder(path)
    recorder.open(make_run())
    for i in range(10):
        recorder.write(make_result(i))
    recorder.status(STATUS)
    found = read_in_javascript(path)  # what a kill now would leave
    recorder.close()
    assert found["indexed"]["counts"]["hands/hands"] == found["streamed"]["counts"]["hands/hands"] == 10
    assert "report.json" not in found["indexed"]["attachments"]
