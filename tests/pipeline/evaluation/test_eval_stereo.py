"""`hamba eval stereo`: triangulation, its gate, calibrations, and a run whose detector sees exactly what is there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st

from hamba_core.errors import HambaError
from hamba_core.hand import exp_so3, load_generic_hand
from pipeline.commands.cli import app
from pipeline.evaluation.stereo import Lens, StereoRig, read_rig, triangulated
from pipeline.terminal import run_app
from stages.common.proximity import tight_box
from stages.detection import HandDetection
from stages.packets import Detections, Frame, HandBox

MATRIX = np.array([[500.0, 0, 320], [0, 510, 240], [0, 0, 1]])
RIG = StereoRig(
    Lens(MATRIX, np.zeros(5)), Lens(MATRIX, np.zeros(5)), exp_so3([0, 0.1, 0.02]), np.array([-0.12, 0.01, 0])
)


def _views(points: np.ndarray, rig: StereoRig = RIG) -> tuple[np.ndarray, np.ndarray]:
    return rig.left.camera.project(points), rig.right.camera.project(points @ rig.R.T + rig.T)


@given(st.integers(0, 1000))
def test_points_seen_exactly_are_found_exactly(seed: int) -> None:
    points = np.random.default_rng(seed).uniform((-0.2, -0.2, 0.4), (0.2, 0.2, 1.0), (21, 3))
    found, fit = triangulated(RIG, *_views(points))
    assert found == pytest.approx(points, abs=1e-9)
    assert fit < 1e-6


def test_two_hands_that_are_not_the_same_do_not_fit() -> None:
    random = np.random.default_rng(0)
    one, other = random.uniform((-0.1, -0.1, 0.5), (0.1, 0.1, 0.7), (2, 21, 3))
    assert triangulated(RIG, _views(one)[0], _views(other)[1])[1] > 3
    assert triangulated(RIG, _views(one)[1], _views(one)[0])[1] > 3  # left and right in the wrong order


def _calibration(path: Path, **change: Any) -> Path:
    tree = {"M1": MATRIX.tolist(), "D1": [0.0] * 5, "M2": MATRIX.tolist(), "D2": [0.0] * 5,
            "R": RIG.R.tolist(), "T": (1000 * RIG.T).tolist()}  # fmt: skip
    tree |= change
    path.write_text(json.dumps({name: value for name, value in tree.items() if value is not None}))
    return path


def test_a_calibration_in_millimetres_and_opencvs_own_matrices(tmp_path: Path) -> None:
    opencv = {"rows": 3, "cols": 3, "dt": "d", "data": MATRIX.ravel().tolist()}
    rig = read_rig(_calibration(tmp_path / "rig.json", M1=opencv), unit=0.001)
    assert pytest.approx(RIG.T) == rig.T
    assert rig.left.camera == RIG.left.camera
    assert rig.left.camera.cx == 320.5  # our pixels begin at the corner


@pytest.mark.parametrize("change", [{"R": None}, {"T": [1, 2]}, {"M2": "text"}, {"T": [float("nan"), 0, 0]}])
def test_a_calibration_that_lacks_something_is_refused(change: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(HambaError, match="M1, D1, M2, D2, R and T"):
        read_rig(_calibration(tmp_path / "rig.json", **change))


@pytest.mark.parametrize(
    ("change", "unit", "found"),
    [
        ({}, 1.0, "120.416 m apart.*--unit"),
        ({}, 0.0, "0 m apart"),
        ({}, float("nan"), "nan m apart"),
        ({"T": [0, 0, 0]}, 0.001, "0 m apart"),
        ({"R": np.diag([1.0, 1, -1]).tolist()}, 0.001, "R is no rotation"),
        ({"R": (2 * np.eye(3)).tolist()}, 0.001, "R is no rotation"),
        ({"M2": np.zeros((3, 3)).tolist()}, 0.001, "M2 has no focal lengths"),
        ({"D1": [0.1, 0.2]}, 0.001, "D1 has 2 numbers"),
    ],
)
def test_a_calibration_that_is_no_pair_of_cameras_is_refused(
    change: dict[str, Any], unit: float, found: str, tmp_path: Path
) -> None:
    with pytest.raises(HambaError, match=found):
        read_rig(_calibration(tmp_path / "rig.json", **change), unit)


class _Seeing(HandDetection):
    """Sees one hand exactly where it is, in its own view; in the third frame its partner is somewhere else."""

    right = False

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def process(self, packet: Frame) -> Detections:
        model = load_generic_hand()
        orient = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
        joints = model.pose(orient, exp_so3(0.3 * model.flexion_axes), np.zeros(10), np.array([0, 0.05, 0.5])).joints
        pixels = _views(joints)[self.right]
        if self.right and packet.meta.index == 2:
            pixels = pixels + np.array([0, 40])
        world = joints - joints.mean(0)
        box = HandBox("right", 0.99, tight_box(pixels).astype(np.float32), pixels.astype(np.float32),
                      world.astype(np.float32))  # fmt: skip
        return Detections(packet, (box,))


class _SeeingRight(_Seeing):
    right = True


def test_a_hand_seen_exactly_is_measured_and_a_bad_fit_is_no_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pipeline.assembly.HandDetection", _Seeing)
    monkeypatch.setattr("pipeline.evaluation.stereo.HandDetection", _SeeingRight)
    rig = _calibration(tmp_path / "rig.json")
    view = "synthetic:?seconds=0.2&fps=30"
    arguments = ["eval", "stereo", view, view, "--calibration", str(rig), "--unit", "0.001", "--estimator", "landmarks"]
    assert run_app(app, [*arguments, "--json"]) == 0
    tree = json.loads(capsys.readouterr().out)
    assert (tree["frames"], tree["hands_seen"], tree["references"]) == (6, 6, 5)
    assert tree["fit"] < 1e-3
    assert tree["median"]["mediapipe_pa_mpjpe"] < 1e-3
    assert tree["median"]["raw_pa_mpjpe"] < 5
    assert tree["median"]["raw_place"] < 40
