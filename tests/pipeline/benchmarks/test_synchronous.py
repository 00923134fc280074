"""The benchmark of the synchronous form runs, and gives the ratio of what it timed."""

import os
from pathlib import Path

import pytest

from pipeline.benchmarks.synchronous import measure_synchronous
from pipeline.settings import load_settings

LEAN = ["reconstruct.estimator=landmarks", "overlay.enabled=false"]


def test_a_loop_is_compared_with_a_run_on_one_core(short_clip: Path) -> None:
    cores = os.sched_getaffinity(0)
    measured = measure_synchronous(short_clip, load_settings("offline", LEAN), rounds=1)
    assert measured.frames == 12
    ratio = measured.synchronous_frames_per_s / measured.run_frames_per_s
    assert measured.synchronous_over_run == pytest.approx(ratio)
    assert os.sched_getaffinity(0) == cores
