"""The end-to-end benchmark, with a tiny network: that it measures, not what."""

from pathlib import Path

import pytest

from pipeline.benchmarks.end_to_end import measure_end_to_end


@pytest.mark.slow  # two whole runs, with the detector
def test_both_kinds_of_run_are_measured(tiny_release: Path) -> None:
    result = measure_end_to_end(tiny_release, seconds=0.5)
    assert result.frames == 15
    assert min(result.offline_frames_per_s, result.live_frames_per_s) > 0
    assert 0 < result.live_latency_ms["p50"] <= result.live_latency_ms["p99"]
    assert 0 <= result.live_dropped < 1
    assert result.choices["device"].startswith(("cpu", "cuda"))
    assert "weights" not in result.choices
