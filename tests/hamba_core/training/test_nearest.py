"""The generic hand nearest to given joints: itself where they are its own, and near where they are another mesh's."""

import numpy as np
import torch

from hamba_core.hand import HandLayer, exp_so3, load_generic_hand
from hamba_core.metrics import pa_mpjpe
from hamba_core.training import nearest_hands
from stages.synthetic.crops.figure import generic_betas, hand_model

MODEL = load_generic_hand()
RANDOM = np.random.default_rng(5)
TURNS = RANDOM.normal(0, 0.3, (3, 16, 3))


def layer() -> HandLayer:
    made = HandLayer(MODEL)
    made.keep_vertices([])
    return made


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values).float()


def test_its_own_joints_are_found_again_from_a_start_that_is_off() -> None:
    betas = RANDOM.normal(0, 0.7, (1, 10))
    rotations = exp_so3(TURNS)
    place = RANDOM.normal(0, 0.3, (3, 3))
    joints = MODEL.joints(rotations[:, 0], rotations[:, 1:], np.tile(betas, (3, 1)), place)
    start = rotations @ exp_so3(RANDOM.normal(0, 0.15, (3, 16, 3)))
    off = MODEL.joints(start[:, 0], start[:, 1:], np.zeros((3, 10)), np.zeros((3, 3)))
    found = nearest_hands(layer(), tensor(joints), tensor(start), torch.zeros(1, 10))
    errors = 1e3 * np.linalg.norm(found.joints.numpy() - joints, axis=2).mean(1)
    assert (1e3 * pa_mpjpe(off, joints)).mean() > 5
    assert errors.max() < 2.5
    np.testing.assert_allclose(found.joints.numpy().mean(1), joints.mean(1), atol=1e-5)
    np.testing.assert_array_equal(found.betas[0], found.betas[1])  # one person


def test_each_hand_is_fitted_by_itself() -> None:
    rotations = exp_so3(TURNS)
    joints = MODEL.joints(rotations[:, 0], rotations[:, 1:], RANDOM.normal(0, 1, (3, 10)), np.zeros((3, 3)))
    start = np.tile(np.eye(3), (3, 16, 1, 1))
    start[:, 0] = rotations[:, 0]
    together = nearest_hands(layer(), tensor(joints), tensor(start), torch.zeros(3, 10))
    alone = nearest_hands(layer(), tensor(joints[1:2]), tensor(start[1:2]), torch.zeros(1, 10))
    np.testing.assert_allclose(together.joints[1:2], alone.joints, atol=2e-4)


def test_it_comes_nearer_to_another_meshs_joints_than_the_same_rotations_do() -> None:
    second, betas = hand_model("second"), RANDOM.normal(0, 0.7, 10)
    rotations = exp_so3(TURNS)
    joints = second.joints(rotations[:, 0], rotations[:, 1:], np.tile(betas, (3, 1)), np.zeros((3, 3)))
    near = np.tile(generic_betas("second", betas), (3, 1))
    same = MODEL.joints(rotations[:, 0], rotations[:, 1:], near, np.zeros((3, 3)))
    found = nearest_hands(layer(), tensor(joints), tensor(rotations), tensor(near))
    assert (1e3 * pa_mpjpe(found.joints.numpy(), joints)).mean() < 0.7 * (1e3 * pa_mpjpe(same, joints)).mean()
