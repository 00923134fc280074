"""Measuring on another mesh: crops of the second hand through the detector's network and all estimators."""

import re

import numpy as np
import pytest

from pipeline.evaluation.make.another_mesh import Methods, measure_crops


def test_crops_of_the_second_hand_are_measured_with_all_methods() -> None:
    methods = Methods({"hamba-s": None})
    measure_crops(910_003, 4, methods)
    found = {name: set(results.errors) for name, results in methods.results.items()}
    assert set(found) == {"MediaPipe", "landmarks", "hamba-s"}
    assert found["landmarks"] == found["hamba-s"] == found["MediaPipe"] != set()
    for results in methods.results.values():
        for shape, pose, pixels in results.errors.values():
            assert 3 < shape < 60
            assert shape < pose < 250
            assert 1 < pixels < 80
        assert np.isnan(results.trembling())  # pictures, not a video
    assert 1 < np.mean(methods.nearest) < 5
    rows = list(methods.rows())
    assert rows[0].startswith(f"{len(found['landmarks'])} hands")
    assert re.match(r"\| hamba-s \| \d+\.\d\d \|", rows[5])


def test_trembling_is_the_error_of_the_acceleration() -> None:
    results = Methods({}).results["landmarks"]
    joints = np.random.default_rng(0).normal(0, 0.05, (21, 3))
    for frame, shift in enumerate((0.0, 0.001, 0.0, 0.0)):
        moved = joints + np.array([shift, 0, 0]) * (np.arange(21) > 0)[:, None]
        results.add((7, frame, 0), (moved, np.zeros((21, 2))), (joints, np.zeros((21, 2))))
    assert results.trembling() == pytest.approx((2 + 1) / 2 * 20 / 21)  # the wrist is the origin
