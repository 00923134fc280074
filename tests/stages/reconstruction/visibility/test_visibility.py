"""How likely joints are in sight, of made-up hands and of rendered ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hamba_core.arrays import Array
from hamba_core.hand import JOINT_NAMES, load_generic_hand
from hamba_core.view import Intrinsics
from stages.detection import HandCrop, HandNetwork, crop_around, look_at
from stages.packets import Detections, Frame, FrameMeta, Hand, HandBox, Image
from stages.reconstruction import Reconstruction, ReconstructionSettings
from stages.reconstruction.visibility import with_visibility
from stages.reconstruction.visibility.evidence import NAMES
from stages.reconstruction.visibility.visibility import WEIGHTS, Weights
from stages.synthetic.crops import Sight, render_crop

MODEL = load_generic_hand()
CAMERA = Intrinsics(600, 600, 320, 240)
META = FrameMeta("hands", 0, 0.0, 1, 640, 480, CAMERA)
SKIN = np.full((480, 640, 3), (200, 150, 120), np.uint8)
UPRIGHT = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])


def _hand(x: float = 0.0, z: float = 0.6, *, track: int = 1, **known: object) -> Hand:
    place = np.array([x, 0.05, z]) - MODEL.rest_joints(np.zeros(10))[0]  # of the wrist
    posed = MODEL.pose(UPRIGHT, np.tile(np.eye(3), (15, 1, 1)), np.zeros(10), place)
    arrays = (np.zeros(4), UPRIGHT, np.tile(np.eye(3), (15, 1, 1)), np.zeros(10), place, posed.joints,
              CAMERA.project(posed.joints), posed.vertices)  # fmt: skip
    hand = Hand(track, "right", 1.0, *(array.astype(np.float32) for array in arrays))  # type: ignore[arg-type]
    return replace(hand, **known)  # type: ignore[arg-type]


def _box(hand: Hand, **known: object) -> HandBox:
    box = HandBox("right", 1.0, hand.box, hand.joints_2d, hand.joints, track_id=hand.track_id)
    return replace(box, **known)  # type: ignore[arg-type]


def _visibility(*hands: Hand, boxes: tuple[HandBox, ...] | None = None, image: Image = SKIN) -> list[Array]:
    seen = with_visibility(hands, boxes or tuple(map(_box, hands)), META, image)
    return [np.asarray(hand.visibility, np.float64) for hand in seen]


def test_every_hand_gets_a_visibility_for_each_joint_and_one_that_has_it_keeps_it() -> None:
    own = np.full(21, 0.25, np.float32)
    first, second = _visibility(_hand(), _hand(0.15, track=2, visibility=own))
    assert first.shape == (21,)
    assert ((first > 0) & (first < 1)).all()
    assert first.mean() > 0.7, "flat, open, alone, in the middle of the picture"
    assert np.array_equal(second, own)
    assert with_visibility((), (), META, SKIN) == ()


def test_joints_beyond_the_picture_are_hardly_in_sight() -> None:
    (seen,) = _visibility(hand := _hand(0.31))
    outside = (hand.joints_2d[:, 0] > 640) | (hand.joints_2d[:, 0] < 0)
    assert 3 < outside.sum() < 21
    assert (seen[outside] <= 0.5).all()
    assert seen[outside].mean() < seen[~outside].mean() - 0.2


def test_a_hand_behind_another_is_less_in_sight_than_alone() -> None:
    behind = _hand(z=0.75, track=2)
    _, covered = _visibility(_hand(), behind)
    (alone,) = _visibility(behind)
    assert covered.mean() < alone.mean() - 0.2


def test_a_joint_that_looks_unlike_the_hand_is_less_in_sight() -> None:
    hand, image = _hand(), SKIN.copy()
    x, y = np.floor(hand.joints_2d[8]).astype(int)
    image[y - 2 : y + 3, x - 2 : x + 3] = (10, 30, 60)
    (plain,), (spotted,) = _visibility(hand), _visibility(hand, image=image)
    assert spotted[8] < plain[8] - 0.05
    assert spotted[16] == pytest.approx(plain[16], abs=0.02)


def test_a_hand_without_a_box_has_a_visibility_too() -> None:
    hand = _hand()
    (seen,) = with_visibility([hand], [_box(hand, track_id=7)], META, SKIN)
    assert seen.visibility is not None


def test_reconstruction_tells_visibility_that_is_better_than_the_mean_on_rendered_hands() -> None:
    network, chances, truths = HandNetwork(), [], []
    with Reconstruction(ReconstructionSettings(estimator="hamba-s"), MODEL, meshes=False) as reconstruction:
        for number, seed in enumerate(range(905_000, 905_016)):
            crop = render_crop(seed)
            size, camera = len(crop.image), Intrinsics(*crop.truth.camera.tolist())
            (first,) = look_at(network, crop.image, [HandCrop(size / 2, size / 2, size, 0.0)])
            (look,) = look_at(network, crop.image, [crop_around(first.joints_2d)], maps=True)
            box = replace(look.box(), side="right", track_id=number)
            frame = Frame(FrameMeta("hands", number, float(number), number, size, size, camera), crop.image)
            for hand in reconstruction.process(Detections(frame, (box,))).hands:
                chances.append(hand.visibility)
                truths.append(crop.truth.sight == Sight.VISIBLE)
    chance, truth = np.array(chances, np.float64), np.array(truths)
    assert len(truth) >= 12
    brier, of_mean = ((chance - truth) ** 2).mean(), truth.mean() * (1 - truth.mean())
    assert brier < 0.85 * of_mean
    assert chance[truth].mean() > chance[~truth].mean() + 0.15


def test_the_shipped_weights_weigh_all_evidence_and_every_joint() -> None:
    names = [line.split(maxsplit=1)[1] for line in WEIGHTS.read_text().splitlines()]
    assert names == [*NAMES, *JOINT_NAMES]


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    weights = Weights(np.linspace(-1, 1, len(NAMES)).round(4), np.linspace(0, 2, 21).round(4))
    weights.write(tmp_path / "weights.txt")
    numbers = [float(line.split()[0]) for line in (tmp_path / "weights.txt").read_text().splitlines()]
    assert np.allclose(numbers, [*weights.of_evidence, *weights.of_joints])
