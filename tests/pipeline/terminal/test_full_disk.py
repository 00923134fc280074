"""A run whose disk becomes full, on a real one: a small file system in memory, in a namespace of its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import av
import pytest
from mcap.reader import make_reader

from pipeline.outputs import OVERLAY
from stages.recording import RECORDING, read_recording

IN_SMALL_DISK = """
set -e
mount -t tmpfs -o size={size} none "$1"
hamba="from pipeline.commands.cli import main; main()"
"$2" -c "$hamba" run "$4" --out "$1/out" --estimator landmarks $5 || status=$?
cp -r "$1/out/." "$3"
exit ${{status:-0}}
"""
SOURCE = "synthetic:?seconds=600&width=320&height=240"


@pytest.fixture(params=["--no-overlay", "--overlay"])
def run_in_small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> "subprocess.CompletedProcess[str]":
    """A run that fills its disk; what it left is in tmp_path / "kept"."""
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("needs a file system of its own: unshare -rm is missing or not allowed here")
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    kept.mkdir()
    shell = ["unshare", "-rm", "sh", "-c", IN_SMALL_DISK.format(size="1m"), "sh"]
    return subprocess.run(
        [*shell, str(disk), sys.executable, str(kept), SOURCE, request.param],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_full_disk_ends_the_run_with_a_clear_error_and_all_that_fitted_opens(
    run_in_small_disk: "subprocess.CompletedProcess[str]", tmp_path: Path
) -> None:
    told = " ".join(run_in_small_disk.stderr.split())
    assert run_in_small_disk.returncode == 2, told
    assert ": expected to be able to write, found: No space left on device; free some space" in told
    assert "Traceback" not in told
    recording = read_recording(tmp_path / "kept" / RECORDING)
    indices = [result.frame.index for result in recording.results()]
    assert indices == list(range(len(indices)))
    with recording.path.open("rb") as file:
        by_index = [message for _, _, message in make_reader(file, validate_crcs=True).iter_messages(["hands/hands"])]
    assert len(by_index) == len(indices) > 5
    overlay = tmp_path / "kept" / OVERLAY
    if overlay.exists() and b"moof" in overlay.read_bytes():  # a whole fragment was on the disk before it was full
        with av.open(str(overlay)) as container:
            assert sum(1 for _ in container.decode(video=0)) > 0
