"""The clip that ships and its truth."""

from pathlib import Path

import av
import numpy as np
import pytest

from hamba_core.hand import load_generic_hand
from hamba_core.untrusted import DocumentError
from stages.packets import Image
from stages.synthetic import ClipTruth, SyntheticSource, load_truth
from stages.synthetic.make.clip import CLIP, SETTINGS, TRUTH

ASSETS = Path(__file__).parents[3] / "stages" / "assets"


@pytest.fixture(scope="module")
def truth() -> ClipTruth:
    return load_truth(ASSETS / TRUTH)


@pytest.fixture(scope="module")
def pictures() -> list[Image]:
    with av.open(ASSETS / CLIP) as container:
        return [frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in container.decode(video=0)]


def test_the_clip_has_the_truths_length_and_size_and_is_small(pictures: list[Image], truth: ClipTruth) -> None:
    assert len(pictures) == len(truth.joints) == SETTINGS.frames == 300
    assert {picture.shape for picture in pictures} == {(truth.height, truth.width, 3)} == {(480, 640, 3)}
    assert (ASSETS / CLIP).stat().st_size < 1_500_000
    with av.open(ASSETS / CLIP) as container:
        assert container.streams.video[0].average_rate == truth.fps == 30


def test_the_truths_points_follow_from_its_parameters(truth: ClipTruth) -> None:
    model = load_generic_hand()
    assert truth.model == model.name
    for frame in range(0, 300, 29):
        for hand, side in enumerate(truth.sides):
            posed = model.pose(
                truth.global_orient[frame, hand].astype(float), truth.hand_pose[frame, hand].astype(float),
                truth.betas[hand].astype(float), truth.translation[frame, hand].astype(float), side,
            )  # fmt: skip
            np.testing.assert_allclose(truth.vertices(model, frame, hand), posed.vertices, atol=1e-9)
            np.testing.assert_allclose(truth.joints[frame, hand], posed.joints, atol=2e-6)
    np.testing.assert_allclose(truth.joints_2d, truth.camera.project(truth.joints), atol=1e-3)


def test_the_clip_is_what_the_source_draws_today(pictures: list[Image], truth: ClipTruth) -> None:
    source = SyntheticSource(SETTINGS)
    assert source.open().camera == truth.camera
    for number in (0, 101, 202):
        drawn = source._opened().picture(number / SETTINGS.fps)
        assert np.abs(drawn.astype(int) - pictures[number]).mean() < 4, (
            "make the clip again: stages.synthetic.make.clip"
        )
        for hand, exact in enumerate(source.truth(number / SETTINGS.fps)):
            np.testing.assert_allclose(truth.joints[number, hand], exact.joints, atol=1e-6)
            np.testing.assert_array_equal(truth.visible_joints[number, hand], exact.visible_joints)
            assert truth.visibility[number, hand] == pytest.approx(exact.visibility, abs=1e-3)
            assert truth.palm_in_view[number, hand] == exact.palm_in_view


def test_the_clip_shows_both_palms_most_of_the_time_and_one_hand_leaves_and_comes_back(truth: ClipTruth) -> None:
    assert sorted(truth.sides) == ["left", "right"]
    assert (truth.palm_in_view.mean(0) > 0.8).all()
    gone = (truth.visibility == 0).any(0)
    assert gone.sum() == 1
    assert (truth.visibility[-1] > 0.95).all()
    assert (truth.visibility[0] > 0.95).all()


ODD = [
    np.zeros(0), np.array("text"), np.array(1), np.zeros((2, 3)), np.full((4,), np.nan), np.array(["up", "down"]),
    np.array([True]), np.zeros((300, 0, 16, 3)), np.full((300, 2, 21, 3), np.inf, np.float32), None,
]  # fmt: skip


def test_other_values_in_the_place_of_the_truths_are_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "truth.npz"
    with np.load(ASSETS / TRUTH) as file:
        whole = {name: file[name] for name in file}
    for name in set(whole) - {"model", "fps"}:
        for odd in ODD:
            arrays = {**whole, name: odd} if odd is not None else {key: whole[key] for key in whole if key != name}
            np.savez(path, **arrays)
            with pytest.raises(DocumentError, match="expected the arrays of a clip's truth, found"):
                load_truth(path)
