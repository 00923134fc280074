"""HandLayer: the same hand in torch."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from hamba_core.hand.generic_hand import load_generic_hand
from hamba_core.hand.hand_layer import HandLayer, smplx_layer
from hamba_core.hand.hand_model import HandModel
from hamba_core.hand.rotations import exp_so3
from hamba_core.hand.skeleton import JOINT_NAMES, MODEL_JOINT_NAMES

HAND = load_generic_hand()
CORRECTED = dataclasses.replace(HAND, posedirs=np.random.default_rng(7).normal(0, 1e-3, (len(HAND.v_template), 3, 135)))
MODELS = pytest.mark.parametrize("model", [HAND, CORRECTED], ids=["no correctives", "correctives"])


def random_hands(count: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    random = np.random.default_rng(seed)
    arrays = exp_so3(random.normal(size=(count, 3))), exp_so3(random.normal(0, 0.5, (count, 15, 3)))
    return tuple(torch.tensor(a, dtype=torch.float32) for a in (*arrays, random.normal(size=(count, 10))))  # type: ignore[return-value]


@MODELS
def test_it_agrees_with_the_numpy_model(model: HandModel) -> None:
    hands = random_hands(5)
    vertices, joints = HandLayer(model)(*hands)
    for i, (global_orient, hand_pose, betas) in enumerate(zip(*(h.double().numpy() for h in hands), strict=True)):
        posed = model.pose(global_orient, hand_pose, betas, np.zeros(3))
        np.testing.assert_allclose(vertices[i].numpy(), posed.vertices, atol=1e-6)
        np.testing.assert_allclose(joints[i].numpy(), posed.joints, atol=1e-6)


@MODELS
def test_it_agrees_with_smplx(model: HandModel) -> None:
    global_orient, hand_pose, betas = random_hands(3, seed=1)
    vertices, joints = HandLayer(model)(global_orient, hand_pose, betas)
    wanted = smplx_layer(model)(global_orient=global_orient[:, None], hand_pose=hand_pose, betas=betas)
    torch.testing.assert_close(vertices, wanted.vertices, atol=1e-6, rtol=0)
    of_model = joints[:, [JOINT_NAMES.index(name) for name in MODEL_JOINT_NAMES]]
    torch.testing.assert_close(of_model, wanted.joints, atol=1e-6, rtol=0)


def test_gradients_reach_pose_and_shape() -> None:
    hands = [h.double().requires_grad_() for h in random_hands(1)]
    layer = HandLayer(HAND).double()
    assert torch.autograd.gradcheck(lambda *given: layer(*given)[1], hands)


def test_autocast_does_not_lower_its_precision() -> None:
    hands, layer = random_hands(2), HandLayer(HAND)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = layer(*(h.bfloat16().float() for h in hands))
    for found, wanted in zip(cast, layer(*(h.bfloat16().float() for h in hands)), strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, wanted, atol=0, rtol=0)


def test_it_is_traced_as_one_graph() -> None:
    hands, layer = random_hands(2), HandLayer(HAND)
    traced = torch.export.export(layer, hands, strict=False).module()
    for found, wanted in zip(traced(*hands), layer(*hands), strict=True):
        torch.testing.assert_close(found, wanted)


def test_none_of_the_model_is_in_its_state_dict() -> None:
    layer = HandLayer(HAND)
    assert not layer.state_dict()
    assert not list(layer.parameters())


def test_building_it_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    HandLayer(HAND)
    assert capfd.readouterr() == ("", "")
