"""Where the detector's landmarks lie on the hand model, and how that is measured."""

from dataclasses import replace
from importlib.resources import files

import numpy as np

from hamba_core.hand import JOINT_NAMES, SIDES, Side, exp_so3, load_generic_hand
from hamba_core.view import Intrinsics
from stages.packets import HandBox
from stages.reconstruction.landmarks.fingers import Fingers
from stages.reconstruction.landmarks.make.offsets import equations, solve
from stages.reconstruction.landmarks.offsets import OFFSETS_FILE, landmark_offsets
from stages.synthetic import HandTruth

CAMERA = Intrinsics.estimate(640, 480)


def test_offsets_are_those_of_a_hand() -> None:
    offsets = landmark_offsets(load_generic_hand())
    assert offsets.shape == (21, 3)
    assert 0.001 < np.linalg.norm(offsets, axis=1).mean() < 0.01
    assert np.linalg.norm(offsets, axis=1).max() < 0.025


def test_the_file_is_in_joint_order() -> None:
    text = (files("stages.reconstruction.landmarks") / OFFSETS_FILE).read_text()
    assert tuple(line.split()[0] for line in text.splitlines() if not line.startswith("#")) == JOINT_NAMES


def test_another_model_has_none() -> None:
    assert not landmark_offsets(replace(load_generic_hand(), name="mano")).any()


def _seen(seed: int, side: Side, offsets: np.ndarray) -> tuple[HandBox, HandTruth]:
    """A hand and its landmarks, off the joints by what the fit's own kinematics make of the offsets."""
    random, model = np.random.default_rng(seed), load_generic_hand()
    fingers = Fingers(model, offsets)
    angles = fingers.within_limits(random.normal(0.3, 0.4, (1, 5, 3, 3)))
    orient, translation = exp_so3(random.normal(0, 0.7, 3)), np.array([0.05, 0.02, 0.5])
    posed = model.pose(orient, fingers.hand_pose(angles)[0], np.zeros(10), translation, side)
    rest = model.rest_joints_21(np.zeros(10))
    chains = (rest - rest[0])[None, 1:].reshape(1, 5, 4, 3)
    landmarks = fingers.pose(angles, chains[:, :, 0], np.diff(chains, axis=2)).landmarks.reshape(20, 3)
    right = np.concatenate([offsets[:1], landmarks]) @ orient.T + rest[0]
    pixels = CAMERA.project(right * ((-1 if side == "left" else 1), 1, 1) + translation).astype(np.float32)
    box = HandBox(side, 1.0, np.concatenate([pixels.min(0), pixels.max(0)]), pixels, np.zeros((21, 3), np.float32))
    truth = HandTruth(
        side, orient, fingers.hand_pose(angles)[0], np.zeros(10), translation, posed.joints, posed.vertices,
        CAMERA.project(posed.joints), np.ones(21, bool), 1.0, True,
    )  # fmt: skip
    return box, truth


def test_offsets_are_found_from_pictures_of_either_hand() -> None:
    offsets = np.random.default_rng(1).normal(0, 0.006, (21, 3))
    parts = [equations(*_seen(seed, SIDES[seed % 2], offsets), CAMERA) for seed in range(60)]
    a, b = (np.stack(of) for of in zip(*parts, strict=True))
    found = np.stack([solve(a[:, joint], b[:, joint]) for joint in range(21)])
    assert np.abs(found - offsets).mean() < 0.001


def test_some_wild_landmarks_do_not_spoil_an_offset() -> None:
    random = np.random.default_rng(2)
    offset = np.array([0.005, -0.008, 0.003])
    a = random.normal(size=(200, 2, 3))
    b = a @ offset + random.normal(0, 0.001, (200, 2))
    b[:20] += 0.1
    assert np.abs(solve(a, b) - offset).max() < 0.001
