"""Numbers from observations whose answer is known."""

from collections.abc import Sequence

import numpy as np
import pytest

from hamba_core.hand import Side, load_generic_hand
from pipeline.evaluation.matching import matched
from pipeline.evaluation.motion import Stretch, added_lag, measure_motion
from pipeline.evaluation.observations import Found, Observation, errors_of
from pipeline.evaluation.scenes import held_out_scenes
from pipeline.evaluation.scores import plain, score
from pipeline.evaluation.synthetic import BASELINE, RAW, SMOOTHED, Measured
from stages.synthetic import HandTruth

MODEL = load_generic_hand()
RATE = 30.0


def _truth(shift: float = 0.0, side: Side = "right") -> HandTruth:
    place = np.array([shift, 0.0, 0.5])
    posed = MODEL.pose(np.eye(3), np.tile(np.eye(3), (15, 1, 1)), np.zeros(10), place, side)
    pixels = 500 * posed.joints[:, :2] / posed.joints[:, 2:]
    return HandTruth(
        side, np.eye(3), np.tile(np.eye(3), (15, 1, 1)), np.zeros(10), place, posed.joints, posed.vertices, pixels,
        np.ones(21, bool), 1.0, palm_in_view=True,
    )  # fmt: skip


def _found(truth: HandTruth, offset: Sequence[float] = (0, 0, 0), track: int = 1, side: Side = "right") -> Found:
    joints = (truth.joints + offset).astype(np.float32)
    vertices = (truth.vertices + offset).astype(np.float32)
    return Found(side, track, True, joints, truth.joints_2d.astype(np.float32), placed=True, vertices=vertices)


def test_a_perfect_hand_has_no_errors() -> None:
    errors = errors_of(_found(_truth()), _truth(), with_f_scores=True)
    assert all(errors[name] == pytest.approx(1) for name in ("f5", "f15", "pa_f5", "pa_f15"))
    assert all(value < 1e-3 for name, value in errors.items() if "f5" not in name and "f15" not in name)


def test_a_hand_in_the_wrong_place_is_right_wrist_on_wrist() -> None:
    errors = errors_of(_found(_truth(), (0.03, 0, 0.04)), _truth(), with_f_scores=True)
    assert errors["translation"] == pytest.approx(50, abs=0.01)
    assert errors["sideways"] == pytest.approx(30, abs=0.01)
    assert errors["depth"] == pytest.approx(40, abs=0.01)
    assert errors["mpjpe"] < 1e-3
    assert errors["mpvpe"] < 1e-3


def test_the_hand_of_the_other_side_is_not_aligned_away() -> None:
    errors = errors_of(_found(_truth(side="left")), _truth(), with_f_scores=False)
    assert errors["pa_mpjpe"] > 3
    assert "pa_f5" not in errors


def test_a_mesh_of_another_topology_has_f_scores_alone() -> None:
    truth = _truth()
    other = Found("right", 1, True, truth.joints.astype(np.float32), truth.joints_2d.astype(np.float32), True,
                  truth.vertices[::2].astype(np.float32))  # fmt: skip
    errors = errors_of(other, truth, with_f_scores=True)
    assert "pa_mpvpe" not in errors
    assert 0.9 < errors["pa_f15"] <= 1


def test_each_true_hand_gets_the_nearest_found_one_at_most_once() -> None:
    hand, other = np.random.default_rng(0).uniform(0, 100, (2, 21, 2))
    assert matched([other + 3, hand + 2], [hand, other]) == {0: 1, 1: 0}
    assert matched([hand + 1, hand + 2], [hand]) == {0: 0}
    assert matched([hand + 500], [hand]) == {}
    assert matched([], [hand]) == {}


def _observation(frame: int, *, track: int | None, side: Side = "right", visibility: float = 1.0) -> Observation:
    truth = _truth()
    observation = Observation("scene", 0, frame, frame / RATE, frozenset({"all", "right"}), visibility, 0.01,
                              truth.joints.astype(np.float32), "right")  # fmt: skip
    if track is not None:
        found = _found(truth, track=track, side=side)
        observation.found[RAW] = found
        observation.errors[RAW] = errors_of(found, truth, with_f_scores=False)
    return observation


def test_found_sides_switches_and_precision_are_counted() -> None:
    measured = Measured(
        "landmarks", (BASELINE, RAW), found_hands={BASELINE: 0, RAW: 8}, false_hands={BASELINE: 0, RAW: 2}
    )
    measured.observations = [
        _observation(0, track=1),
        _observation(1, track=1, side="left"),
        _observation(2, track=None),
        _observation(3, track=2),  # another id than when it was last found
        _observation(4, track=2),
        _observation(5, track=1),  # and again
        _observation(6, track=None, visibility=0.2),  # too little of it to be missed
    ]
    tree = score(measured, held_out_scenes(1, 0.1, ("plain",)))
    cells = tree["hands"][RAW]["all"]
    assert cells["hands"] == 6
    assert cells["recall"] == pytest.approx(100 * 5 / 6)
    assert cells["side"] == pytest.approx(80)
    assert cells["switches"] == 2
    assert tree["precision"][RAW] == pytest.approx(75)
    assert tree["hands"][BASELINE]["all"]["recall"] == 0
    assert tree["hands"][RAW]["left"]["hands"] == 0


def test_numbers_that_are_none_are_null_in_the_tree() -> None:
    assert plain({"a": float("nan"), "b": [np.float64(1.5), np.arange(2)], 3: float("inf")}) == {
        "a": None, "b": [1.5, [0, 1]], "3": None,
    }  # fmt: skip


def _stretch(joints: np.ndarray, truth: np.ndarray) -> Stretch:
    return Stretch(RATE, joints, 1000 * joints[..., :2], joints.mean(1), truth)


def _path(times: np.ndarray) -> np.ndarray:
    x, y = (0.1 * np.sin(5 * t) + 0.02 * np.sin(8 * t) for t in (times, times - 0.3))
    shape = np.random.default_rng(1).normal(0, 0.05, (21, 3))
    moves = np.stack([x, 0.5 * y, 0.3 * x], 1)
    return np.asarray(shape + moves[:, None])


def test_motion_measures_of_what_is_late_and_trembles() -> None:
    times = np.arange(200) / RATE
    truth = _path(times)
    late = _path(times - 0.04)
    motion = measure_motion([_stretch(late, truth)])
    assert motion.lag == pytest.approx(40, abs=3)
    noise = np.random.default_rng(2).normal(0, 0.001, truth.shape)
    trembling = measure_motion([_stretch(truth + noise, truth)])
    assert trembling.lag == pytest.approx(0, abs=1)
    assert trembling.jitter > 5 * measure_motion([_stretch(truth, truth)]).jitter
    assert trembling.acceleration_error == pytest.approx(
        1e3 * np.sqrt(6) * 0.001 * np.sqrt(8 / np.pi) * RATE**2, rel=0.02
    )
    assert trembling.jitter_error == pytest.approx(1e3 * np.sqrt(20) * 0.001 * np.sqrt(8 / np.pi) * RATE**3, rel=0.02)
    assert measure_motion([_stretch(truth, truth)]).jitter_error == pytest.approx(0)


def test_only_chosen_frames_count() -> None:
    truth = _path(np.arange(200) / RATE)
    noisy = truth.copy()
    noisy[100:] += np.random.default_rng(3).normal(0, 0.01, noisy[100:].shape)
    mask = np.arange(200) < 95
    assert measure_motion([_stretch(noisy, truth)], [mask]).acceleration_error == pytest.approx(0, abs=1e-6)
    assert measure_motion([_stretch(noisy, truth)], [~mask]).acceleration_error > 1000


def test_the_lag_of_smoothing_is_measured_against_the_raw_hands() -> None:
    times = np.arange(200) / RATE
    raw = _stretch(_path(times), _path(times))
    assert added_lag([_stretch(_path(times - 0.025), _path(times))], [raw]) == pytest.approx(25, abs=3)


def test_without_frames_there_are_no_numbers() -> None:
    assert np.isnan(measure_motion([]).jitter)
    measured = Measured("landmarks", (BASELINE, RAW, SMOOTHED))
    measured.false_hands = measured.found_hands = dict.fromkeys(measured.methods, 0)
    tree = score(measured, [])
    assert tree["motion"][SMOOTHED]["all"]["jitter"] is None
