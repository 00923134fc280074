"""The visit to a GPU, tried out on a CPU with a tiny network: every step of it runs, and what it finds is kept."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_visit_runs_to_its_end_on_a_cpu(tmp_path: Path) -> None:
    """It takes some minutes: the tests that need CUDA skip, the probe and the benchmark measure a tiny network."""
    done = subprocess.run(
        ["bash", "tests/gpu/visit/check.sh", "1700"],
        cwd=ROOT,
        env=os.environ
        | {
            "PYTHON": sys.executable,
            "DEVICE": "cpu",
            "TINY": "tiny",
            "BENCH": "1",
            "OUT": str(tmp_path / "out"),
            "WORK": str(tmp_path / "work"),
        },
        capture_output=True,
        text=True,
    )
    summary = (tmp_path / "out" / "summary.txt").read_text()
    assert done.returncode == 0, summary + done.stderr
    assert "done" in summary.splitlines()[-1]
    for step in ("environment: exit 0", "probe: exit 0", "bench: exit 0"):
        assert step in summary, summary
    probe = json.loads((tmp_path / "out" / "probe.json").read_text())
    assert not {name: found for name, found in probe.items() if isinstance(found, dict) and "error" in found}
    assert probe["latency"]["1"]["p50_ms"] > 0
    assert len(list((tmp_path / "out").iterdir())) <= 8
