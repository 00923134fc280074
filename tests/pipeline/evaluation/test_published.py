"""Published sets: from a folder in their layout to a submission, and from a submission to its scores."""

import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from hamba_core.errors import HambaError
from hamba_core.hand import JOINTS_FROM_MODEL, Side
from hamba_core.metrics import pa_mpjpe
from pipeline.commands.cli import app
from pipeline.evaluation import read_submission, read_truth, score_submission
from pipeline.evaluation.box_look import look_in_box
from pipeline.evaluation.prediction import predict
from pipeline.evaluation.published_data import FREIHAND_TIPS, Answer, FreiHand, Ho3d, Sample
from pipeline.evaluation.published_scores import Submission
from pipeline.settings import load_settings
from pipeline.terminal import run_app
from stages.detection import HandDetection, HandNetwork
from stages.packets import Detections, Frame
from tests.pipeline.evaluation.conftest import Cut

LANDMARKS = load_settings("offline", ["reconstruct.estimator=landmarks"])


def test_predict_zip_and_score_on_a_folder_in_freihands_format(
    freihand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers"
    assert run_app(app, ["eval", "freihand", str(freihand), "--estimator", "landmarks", "--out", str(out)]) == 0
    assert f"hamba eval score {out / 'pred.zip'}" in capsys.readouterr().out
    arguments = ["eval", "score", str(out / "pred.zip"), str(freihand), "--out", str(tmp_path / "scores"), "--json"]
    assert run_app(app, arguments) == 0
    tree = json.loads(capsys.readouterr().out)
    assert tree["pictures"] == 4
    assert 1 < tree["errors"]["joints_aligned"] < 15
    assert tree["errors"]["joints"] > tree["errors"]["joints_aligned"]
    assert 0.5 < tree["f15_aligned"] <= 1
    assert tree["mirrored"] == 0
    page = (tmp_path / "scores" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") == 4
    assert page.count("data:image/png;base64") == 2


def test_predict_and_score_on_a_folder_in_ho3ds_format(
    ho3d: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "answers"
    assert run_app(app, ["eval", "ho3d", str(ho3d), "--estimator", "landmarks", "--out", str(out)]) == 0
    own, truth = read_submission(out / "pred.zip"), read_truth(ho3d)
    assert own.joints[:, 0] == pytest.approx(truth.joints[:, 0], abs=1e-5)  # the wrist is given
    assert (own.joints[..., 2] < 0).all()  # OpenGL looks along -z
    capsys.readouterr()
    assert (
        run_app(app, ["eval", "score", str(out / "pred.zip"), str(ho3d), "--out", str(tmp_path / "s"), "--json"]) == 0
    )
    errors = json.loads(capsys.readouterr().out)["errors"]
    page = (tmp_path / "s" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64") == 4
    assert "HO-3D beside a paper" in page
    assert errors["joints_aligned"] < errors["joints_scale_and_root"] < 60
    assert errors["joints_aligned"] < errors["joints"] < 60


def test_ho3ds_order_axes_and_root() -> None:
    random = np.random.default_rng(0)
    answer = Answer(random.normal(0, 0.05, (21, 3)), random.normal(0, 0.05, (30, 3)))
    wrist = np.array([0.1, -0.2, 0.7])
    sample = Sample("a", np.zeros((4, 4, 3), np.uint8), None, np.zeros(4, np.float32), "right", wrist)  # type: ignore[arg-type]
    given = Ho3d.published(object.__new__(Ho3d), answer, sample)
    back = (given.joints * (1, -1, -1))[list(JOINTS_FROM_MODEL)]
    assert back == pytest.approx(answer.joints - answer.joints[0] + wrist)
    assert Ho3d.in_camera(object.__new__(Ho3d), given.joints) == pytest.approx(back)
    assert given.vertices * (1, -1, -1) == pytest.approx(answer.vertices - answer.joints[0] + wrist)


def test_freihands_tips_are_its_own_vertices_where_the_mesh_is_manos(freihand: Path) -> None:
    data = FreiHand(freihand)
    sample = data.sample(0)
    random = np.random.default_rng(0)
    joints = random.normal(0, 0.05, (21, 3))
    for vertices, tips in ((778, True), (500, False)):
        answer = Answer(joints, random.normal(0, 0.05, (vertices, 3)))
        given = data.published(answer, sample)
        expected = answer.vertices[list(FREIHAND_TIPS)] if tips else joints[[4, 8, 12, 16, 20]]
        assert given.joints[[4, 8, 12, 16, 20]] == pytest.approx(expected)
        assert given.joints[[0, 1, 5, 9]] == pytest.approx(joints[[0, 1, 5, 9]])


def test_the_sets_cameras_see_the_truth_in_the_pictures(freihand: Path, ho3d: Path) -> None:
    joints = read_truth(freihand).joints
    for data in (FreiHand(freihand), Ho3d(ho3d, 3)):
        for number in range(len(data)):
            sample = data.sample(number)
            pixels = sample.camera.project(joints[number])
            left, top, right, bottom = sample.box
            assert pixels.min(0) == pytest.approx((left, top), abs=60)
            assert (pixels[:, 0] >= left - 1).all()
            assert (pixels[:, 0] <= right + 1).all()
            assert (pixels[:, 1] <= bottom + 1).all()


class _Counted(FreiHand):
    asked: list[int]

    def sample(self, number: int) -> Sample:
        self.asked.append(number)
        return super().sample(number)


def test_a_stopped_prediction_goes_on_where_it_was(
    freihand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.evaluation.prediction._TOGETHER", 1)
    data = _Counted(freihand)
    data.asked = []

    def stop(share: float) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(data, LANDMARKS, tmp_path / "out", on_progress=stop)
    assert not (tmp_path / "out" / "pred.zip").exists()
    data.asked = []
    resumed = predict(data, LANDMARKS, tmp_path / "out")
    assert data.asked == [2, 3]
    whole = predict(data, LANDMARKS, tmp_path / "whole")
    own, other = read_submission(resumed.submission), read_submission(whole.submission)
    assert own.vertices == pytest.approx(other.vertices, abs=2e-6)


def test_answers_of_other_settings_are_not_gone_on_with(freihand: Path, tmp_path: Path) -> None:
    predict(FreiHand(freihand), LANDMARKS, tmp_path, limit=1)
    with pytest.raises(HambaError, match="the same data and settings"):
        predict(FreiHand(freihand), LANDMARKS, tmp_path, limit=2)


def test_the_network_with_augmentation_answers_too(freihand: Path, tiny_release: Path, tmp_path: Path) -> None:
    settings = load_settings("offline", (), {"reconstruct.checkpoint": tiny_release, "reconstruct.estimator": "hamba"})
    plain = predict(FreiHand(freihand), settings, tmp_path / "plain", limit=1)
    fused = predict(FreiHand(freihand), settings, tmp_path / "tta", augment=True, limit=1)
    one, other = read_submission(plain.submission), read_submission(fused.submission)
    assert other.vertices.shape == one.vertices.shape
    assert np.abs(other.vertices - one.vertices).max() > 1e-6


def _pa_mpjpe(own: Submission, truth: Submission) -> float:
    """Of the pictures answered, mm."""
    return 1e3 * float(pa_mpjpe(own.joints, truth.joints[: len(own.joints)]).mean())


class _Blind(HandDetection):
    """It finds no hand."""

    def process(self, packet: Frame) -> Detections:
        return Detections(packet, ())


@pytest.mark.parametrize("estimator", ["landmarks", "hamba-s"])
def test_where_the_detector_finds_no_hand_it_is_looked_for_in_the_samples_box(
    estimator: str, freihand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.evaluation.prediction.HandDetection", _Blind)
    settings = load_settings("offline", [f"reconstruct.estimator={estimator}"])
    prediction = predict(FreiHand(freihand), settings, tmp_path / "out")
    assert prediction.not_found == 0
    assert _pa_mpjpe(read_submission(prediction.submission), read_truth(freihand)) < 15


@pytest.mark.parametrize("angle", range(0, 360, 45))
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_hand_is_seen_in_its_box_whichever_way_it_points(cuts: list[Cut], side: Side, angle: int) -> None:
    cut, turn = cuts[0], Rotation.from_euler("z", angle, degrees=True).as_matrix()
    image = cv2.warpAffine(cut.image, cv2.getRotationMatrix2D((111.5, 111.5), -angle, 1), (224, 224))
    joints = cut.joints @ turn.T
    if side == "left":
        image, joints = np.ascontiguousarray(image[:, ::-1]), joints * (-1, 1, 1)
    box = look_in_box(
        HandNetwork(), np.asarray(image, np.uint8), np.array([50, 50, 174, 174], np.float32), side, maps=True
    )
    assert box is not None
    assert (box.side, box.look is not None and bool(box.look.maps)) == (side, True)
    assert 1e3 * pa_mpjpe(box.joints_world.astype(np.float64), joints) < 15


@pytest.mark.slow
def test_hamba_s_with_augmentation_answers_as_well_as_without(freihand: Path, tmp_path: Path) -> None:
    settings = load_settings("offline", ["reconstruct.estimator=hamba-s"])
    plain = predict(FreiHand(freihand), settings, tmp_path / "plain", limit=2)
    fused = predict(FreiHand(freihand), settings, tmp_path / "tta", augment=True, limit=2)
    one, other, truth = read_submission(plain.submission), read_submission(fused.submission), read_truth(freihand)
    assert (plain.not_found, fused.not_found) == (0, 0)
    assert np.abs(other.vertices - one.vertices).max() > 1e-4
    assert _pa_mpjpe(other, truth) < 1.2 * _pa_mpjpe(one, truth)


def test_where_no_hand_is_found_a_resting_one_is_answered_and_counted(
    freihand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(freihand, folder)
    cv2.imwrite(str(folder / "evaluation" / "rgb" / "00000001.jpg"), np.full((224, 224, 3), 90, np.uint8))
    prediction = predict(FreiHand(folder), LANDMARKS, tmp_path / "out", limit=2)
    assert prediction.not_found == 1
    assert np.isfinite(read_submission(prediction.submission).joints).all()


def _mano_like(seed: int, pictures: int = 3) -> Submission:
    random = np.random.default_rng(seed)
    return Submission(random.normal(0, 0.05, (pictures, 21, 3)), random.normal(0, 0.05, (pictures, 778, 3)))


def test_perfect_answers_score_nothing_wrong() -> None:
    truth = _mano_like(0)
    tree = score_submission(truth, truth, ho3d=True)
    assert all(value == pytest.approx(0, abs=1e-9) for value in tree["errors"].values())
    assert tree["auc"]["joints"] == pytest.approx(1)
    assert tree["auc"]["mesh"] == pytest.approx(1)
    # Aligned points are off by rounding: not correct at the first threshold, which is 0; the published script has that.
    assert tree["auc"]["joints_aligned"] == pytest.approx(1, abs=0.0051)
    assert [tree[name] for name in ("f5", "f15", "f5_aligned", "f15_aligned")] == [1, 1, 1, 1]
    assert tree["mirrored"] == 0


def test_scaled_turned_and_moved_answers_are_right_when_aligned() -> None:
    truth = _mano_like(1)
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    own = Submission(2 * truth.joints @ turn.T + 0.3, 2 * truth.vertices @ turn.T + 0.3)
    tree = score_submission(own, truth)
    assert tree["errors"]["joints_aligned"] == pytest.approx(0, abs=1e-9)
    assert tree["errors"]["mesh_aligned"] == pytest.approx(0, abs=1e-9)
    assert tree["f5_aligned"] == 1
    assert tree["errors"]["joints"] > 100
    assert tree["f15"] < 0.1


def test_mirrored_answers_score_perfectly_as_published_and_are_counted() -> None:
    truth = _mano_like(2)
    own = Submission(truth.joints * (-1, 1, 1), truth.vertices * (-1, 1, 1))
    own.joints[0], own.vertices[0] = truth.joints[0], truth.vertices[0]
    tree = score_submission(own, truth)
    assert tree["errors"]["joints_aligned"] == pytest.approx(0, abs=1e-9)
    assert tree["f5_aligned"] == 1
    assert tree["mirrored"] == pytest.approx(2 / 3)


def test_noisy_answers_score_what_theory_says() -> None:
    truth = _mano_like(3, pictures=40)
    noise = np.random.default_rng(4).normal(0, 0.004, (2, 40, 778, 3))
    own = Submission(truth.joints + noise[0, :, :21], truth.vertices + noise[1])
    tree = score_submission(own, truth)
    mean = 1e3 * 0.004 * np.sqrt(8 / np.pi)  # of the length of a vector of three such numbers
    assert tree["errors"]["mesh"] == pytest.approx(mean, rel=0.01)
    # Seven of the 3 x 778 degrees of freedom are aligned away, and of 3 x 21.
    assert tree["errors"]["mesh_aligned"] == pytest.approx(mean * np.sqrt(1 - 7 / 2334), rel=0.01)
    assert tree["errors"]["joints_aligned"] == pytest.approx(mean * np.sqrt(1 - 7 / 63), rel=0.03)
    assert tree["auc"]["mesh"] == pytest.approx(1 - mean / 50, abs=0.01)


def test_a_mesh_of_other_vertices_is_aligned_by_the_joints() -> None:
    truth = _mano_like(5)
    own = Submission(3 * truth.joints + 1, 3 * truth.vertices[:, ::2] + 1)
    tree = score_submission(own, truth)
    assert "mesh" not in tree["errors"]
    # All of its vertices are right; the share of true ones that have one nearer than 5 mm is the recall.
    recalls = [np.mean(np.asarray(KDTree(mesh[::2]).query(mesh)[0]) < 0.005) for mesh in truth.vertices]
    assert tree["f5_aligned"] == pytest.approx(np.mean([2 * recall / (1 + recall) for recall in recalls]))


def test_fewer_answers_are_scored_against_the_first_pictures() -> None:
    truth = _mano_like(6)
    tree = score_submission(Submission(truth.joints[:2], truth.vertices[:2]), truth)
    assert tree["pictures"] == 2
    assert tree["of"] == 3
    with pytest.raises(HambaError, match="1 to 3 answers"):
        score_submission(_mano_like(6, pictures=4), truth)


@pytest.mark.parametrize(
    "content",
    [
        {},
        [[]],
        [[[[10**400, 0, 0]]], [[[0, 0, 0]]]],
        [[[0, 0, 0]], [[0, 0, 0]]],
        [[[[1, 2, 3]]], [[[1, 2, 3]]]],
        [[["a"]], [[1]]],
    ],
)
def test_what_is_no_submission_is_refused(content: Any, tmp_path: Path) -> None:
    path = tmp_path / "pred.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pred.json", json.dumps(content))
    with pytest.raises(HambaError, match=r"pred\.zip"):
        read_submission(path)


@pytest.mark.parametrize(("joints", "meshes"), [((4, 20), 4), ((4, 21), 3)])
def test_a_truth_of_other_joints_or_of_too_few_meshes_is_refused(
    joints: tuple[int, int], meshes: int, tmp_path: Path
) -> None:
    (tmp_path / "evaluation_xyz.json").write_text(json.dumps(np.ones((*joints, 3)).tolist()))
    (tmp_path / "evaluation_verts.json").write_text(json.dumps(np.ones((meshes, 9, 3)).tolist()))
    with pytest.raises(HambaError, match="expected 21 joints and a mesh for each picture, found"):
        read_truth(tmp_path)


@pytest.mark.parametrize(
    "matrix", [[[10**400, 0, 1]] * 3, None, ["a"], [[500, 0], [0]], [[0, 0, 1], [0, 0, 1], [0, 0, 1]]]
)
def test_what_is_no_camera_is_refused(matrix: Any, tmp_path: Path) -> None:
    pictures = tmp_path / "evaluation" / "rgb"
    pictures.mkdir(parents=True)
    cv2.imwrite(str(pictures / "00000000.jpg"), np.zeros((224, 224, 3), np.uint8))
    (tmp_path / "evaluation_K.json").write_text(json.dumps([matrix]))
    with pytest.raises(HambaError, match="expected"):
        FreiHand(tmp_path).sample(0)


@pytest.mark.parametrize(
    ("name", "value"),
    [("handBoundingBox", [1.0, 2, 3]), ("handBoundingBox", [np.nan] * 4), ("handJoints3D", [0.1] * 2)],
)
def test_a_description_of_other_numbers_is_refused(name: str, value: list[float], ho3d: Path, tmp_path: Path) -> None:
    shutil.copytree(ho3d, tmp_path / "set")
    data = Ho3d(tmp_path / "set", 3)
    data.sample(0)
    for path in (tmp_path / "set" / "evaluation").rglob("*.pkl"):
        path.write_bytes(pickle.dumps(pickle.loads(path.read_bytes()) | {name: np.array(value)}))
    with pytest.raises(HambaError, match=f"expected {name} with"):
        data.sample(0)


def test_a_set_without_pictures_is_refused(tmp_path: Path) -> None:
    (tmp_path / "evaluation_K.json").write_text("[]")
    with pytest.raises(HambaError, match="expected a data set with pictures"):
        predict(FreiHand(tmp_path), LANDMARKS, tmp_path / "answers")


def test_a_folder_without_the_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(app, ["eval", "freihand", str(tmp_path)]) == 2
    assert "evaluation_K.json" in capsys.readouterr().err
    assert run_app(app, ["eval", "ho3d", str(tmp_path)]) == 2
    assert "evaluation.txt" in capsys.readouterr().err
