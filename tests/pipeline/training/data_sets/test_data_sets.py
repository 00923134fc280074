"""Data sets in their published layouts: what is read is what was laid out, in this project's conventions."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hamba_core.errors import HambaError, HandModelError, SourceError
from hamba_core.hand import load_generic_hand
from pipeline.training.data_sets import DATA_SETS, HandSample, PoseSpace, open_data, read_pose_space

from .conftest import Layouts, MadeHand

IN_3D = ("freihand", "ho3d", "interhand", "dexycb", "rhd")
WITH_PARAMETERS = ("freihand", "ho3d", "interhand", "dexycb")
PUBLISHED = (*IN_3D, "coco_wholebody", "hint")


@pytest.fixture
def laid_out(hands: list[MadeHand], either_side: list[MadeHand]) -> dict[str, list[MadeHand]]:
    """The hands that each set has, in its order."""
    right, left, other, _ = either_side
    return {
        "freihand": hands * 4, "ho3d": hands, "interhand": [right, left, other], "dexycb": [right, left] * 2 + [left],
        "rhd": [right, left], "coco_wholebody": [right, left], "hint": [right, left],
    }  # fmt: skip


def samples(name: str, folder: Path, poses: PoseSpace | None = None) -> list[HandSample]:
    (data,) = open_data({name: folder}, poses).values()
    return [data.sample(number) for number in range(len(data))]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_hand_is_read_where_it_is_in_its_picture(
    name: str, layout: Layouts, laid_out: dict[str, list[MadeHand]]
) -> None:
    found, expected = samples(name, layout(name)), laid_out[name]
    assert [sample.truth.side for sample in found] == [hand.side for hand in expected]
    for sample, hand in zip(found, expected, strict=True):
        assert sample.truth.joints_2d == pytest.approx(hand.joints_2d, abs=1e-3)
        assert sample.truth.parameters_known == 0
    alone = [sample for sample in found if "image1.jpg left" not in sample.name]  # its picture shows the other's wrist
    for sample in alone:
        x, y = sample.truth.joints_2d[0].astype(int)
        assert sample.image[y, x].min() > 200
        assert sample.image[5, 5].max() < 90


@pytest.mark.parametrize("name", IN_3D)
def test_joints_in_3d_are_metres_in_the_pictures_camera(
    name: str, layout: Layouts, laid_out: dict[str, list[MadeHand]]
) -> None:
    for sample, hand in zip(samples(name, layout(name)), laid_out[name], strict=True):
        assert sample.truth.joints == pytest.approx(hand.joints, abs=1e-5)


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_parameters_pose_the_hand_that_the_joints_are_of(
    name: str, layout: Layouts, poses: PoseSpace, laid_out: dict[str, list[MadeHand]]
) -> None:
    model = load_generic_hand()
    for sample, hand in zip(samples(name, layout(name), poses), laid_out[name], strict=True):
        truth = sample.truth
        assert truth.parameters_known == 1
        assert truth.global_orient == pytest.approx(hand.orient(), abs=1e-5)
        assert truth.hand_pose == pytest.approx(hand.pose(), abs=1e-5)
        assert truth.betas == pytest.approx(hand.betas, abs=1e-5)
        orient, pose, betas = (np.asarray(part, np.float64) for part in truth[5:8])
        joints = model.joints(orient, pose, betas, np.zeros(3), truth.side)
        assert joints - joints[0] == pytest.approx(truth.joints - truth.joints[0], abs=1e-5)


def test_what_is_not_known_of_a_hand_is_said(layout: Layouts) -> None:
    known = {name: samples(name, layout(name))[0].truth for name in ("interhand", "coco_wholebody", "hint")}
    assert known["interhand"].known.tolist() == [1.0] + [0.0] + [1.0] * 19  # the thumb's first joint was not seen
    assert known["coco_wholebody"].known.sum() == 0
    assert np.flatnonzero(known["coco_wholebody"].known_2d == 0).tolist() == [7]
    assert known["hint"].known.sum() == 0
    assert known["hint"].known_2d.sum() == 21


@pytest.mark.parametrize("name", sorted(DATA_SETS))
def test_an_empty_folder_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=str(tmp_path)):
        open_data({name: tmp_path})


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("freihand", "training_mano.json"),
        ("ho3d", "train/ABF10/meta/0000.pkl"),
        ("interhand", "annotations/train/InterHand2.6M_train_joint_3d.json"),
        ("dexycb", "20200709-subject-01/20200709_141700/836212060125/labels_000000.npz"),
        ("rhd", "training/anno_training.pickle"),
        ("coco_wholebody", "annotations/coco_wholebody_train_v1.0.json"),
        ("hint", "TRAIN_newdays_img/ND_frame000000_r.json"),
    ],
)
def test_a_damaged_file_is_named(name: str, damage: str, layout: Layouts, poses: PoseSpace) -> None:
    folder = layout(name)
    path = folder / damage
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(HambaError, match=path.name.replace(".", r"\.")):
        samples(name, folder, poses)


def test_the_pose_space_is_read_from_manos_file(write_mano: Callable[..., Path], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    mean, components = random.normal(0, 1, 45), random.normal(0, 1, (45, 45))
    path = write_mano(tmp_path / "MANO_RIGHT.pkl", hands_mean=mean, hands_components=components)
    for given in (path, tmp_path):
        space = read_pose_space(given)
        assert space.about_mean(np.zeros(45)) == pytest.approx(mean)
        assert space.along_components(np.eye(45)[3]) == pytest.approx(mean + components[3])
    with pytest.raises(HandModelError, match="hands_mean"):
        read_pose_space(write_mano(tmp_path / "MANO_RIGHT.pkl", hands_mean=None))


ODD: tuple[Any, ...] = (None, {}, [], "x", "\ud800", True, -1, 0, 1e308, 10**400, [[1], [1, 2]], {"0": []}, [[[]]])
GONE = object()


def changed(tree: Any, random: np.random.Generator) -> Any:
    """The same tree with another value, or none, in one of its places."""
    if not isinstance(tree, dict | list) or not tree or random.random() < 0.15:
        return GONE if random.random() < 0.2 else ODD[random.integers(len(ODD))]
    at = random.choice(list(tree)) if isinstance(tree, dict) else int(random.integers(len(tree)))
    copy = tree.copy()
    value = changed(tree[at], random)
    if value is GONE:
        del copy[at]
    else:
        copy[at] = value
    return copy


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("freihand", ["training_K.json", "training_xyz.json", "training_mano.json"]),
        ("interhand", [f"annotations/train/InterHand2.6M_train_{part}.json"
                       for part in ("data", "camera", "joint_3d", "MANO_NeuralAnnot")]),
        ("coco_wholebody", ["annotations/coco_wholebody_train_v1.0.json"]),
        ("hint", ["TRAIN_newdays_img/ND_frame000000_r.json"]),
    ],
)  # fmt: skip
def test_any_value_in_the_place_of_another_is_an_error_in_words_or_a_hand(
    name: str, files: list[str], layout: Layouts, poses: PoseSpace
) -> None:
    folder, random = layout(name), np.random.default_rng(0)
    for file in files:
        path = folder / file
        whole = path.read_bytes()
        for _ in range(30):
            tree = changed(json.loads(whole), random)
            path.write_text(json.dumps(None if tree is GONE else tree))
            with suppress(HambaError):
                samples(name, folder, poses)
        path.write_bytes(b'{"images": ' + b"[" * 100_000)
        with pytest.raises(SourceError, match=path.name):
            samples(name, folder, poses)
        path.write_bytes(whole)
    assert samples(name, folder, poses)


@pytest.mark.parametrize("gone", ["joint_2d", "pose_m"])
def test_labels_of_dexycb_that_are_missing_are_named(gone: str, layout: Layouts) -> None:
    folder = layout("dexycb")
    path = next(folder.glob("*-subject-01/*/*/labels_*.npz"))
    with np.load(path) as file:
        kept = {name: file[name] for name in file if name != gone}
    np.savez(path, **kept)
    with pytest.raises(SourceError, match=rf"{path.name}: expected DexYCB's labels .*{gone}"):
        samples("dexycb", folder)
