"""The network as a whole: what it gives, and that compilers can take it."""

from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
import torch

import hamba_core
from hamba_core.errors import ConfigurationError
from hamba_core.network import Hamba, HambaOutput
from hamba_core.network.heads.readout import rotations_from_6d
from hamba_core.network.state_space.blocks import SS2D


@pytest.fixture(scope="module")
def network(tiny_release: Path) -> Hamba:
    return hamba_core.load(tiny_release)


def crops(batch: int) -> torch.Tensor:
    return torch.randn(batch, 3, 256, 256, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("batch", [1, 3])
def test_the_output_has_the_promised_shapes(network: Hamba, batch: int) -> None:
    output = network(crops(batch))
    shapes = {
        "camera": (3,), "translation": (3,), "global_orient": (3, 3), "hand_pose": (15, 3, 3), "betas": (10,),
        "joints": (21, 3), "vertices": (778, 3), "joints_2d": (21, 2),
    }  # fmt: skip
    assert output.initial is not None
    for one in (output, output.initial):
        for field, shape in shapes.items():
            tensor = getattr(one, field)
            assert tensor.shape == (batch, *shape), field
            assert tensor.dtype == torch.float32
    assert output.initial.initial is None
    with pytest.raises(FrozenInstanceError):
        output.camera = output.betas  # type: ignore[misc]


def test_a_hand_is_the_same_alone_and_among_others(network: Hamba) -> None:
    together, alone = network(crops(3)), network(crops(3)[1:2])
    torch.testing.assert_close(alone.vertices[0], together.vertices[1], rtol=0, atol=1e-5)


def test_joints_and_vertices_are_the_hand_model_posed_with_the_parameters(network: Hamba) -> None:
    output = network(crops(1))
    orient, pose, betas = (
        getattr(output, name)[0].double().numpy() for name in ("global_orient", "hand_pose", "betas")
    )
    posed = network.hand.pose(orient, pose, betas, np.zeros(3))
    torch.testing.assert_close(output.vertices[0].double(), torch.tensor(posed.vertices), rtol=0, atol=1e-5)
    torch.testing.assert_close(output.joints[0].double(), torch.tensor(posed.joints), rtol=0, atol=1e-5)


def test_projection_and_translation_agree_with_the_camera(network: Hamba) -> None:
    output = network(crops(2))
    s, x, y = output.camera.unbind(1)
    torch.testing.assert_close(output.translation, torch.stack([x, y, 2 * 5000 / (256 * s)], 1))
    points = output.joints + output.translation[:, None]
    torch.testing.assert_close(output.joints_2d, points[..., :2] / points[..., 2:] * 5000 / 256)


def test_rotations_are_rotations_and_their_columns_follow_the_six_numbers() -> None:
    numbers = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
    rotations = rotations_from_6d(numbers)
    torch.testing.assert_close(rotations @ rotations.mT, torch.eye(3).expand(5, 3, 3), rtol=0, atol=1e-5)
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(5))
    torch.testing.assert_close(rotations[..., 0], torch.nn.functional.normalize(numbers[:, :3], dim=1))
    assert ((rotations[..., 1] * numbers[:, 3:]).sum(1) > 0).all()


def test_the_margins_that_the_backbone_does_not_see_have_no_effect(network: Hamba) -> None:
    seen = crops(1)
    changed = seen.clone()
    changed[..., :32] = 5
    changed[..., 224:] = -5
    torch.testing.assert_close(network(changed).vertices, network(seen).vertices, rtol=0, atol=0)
    changed[..., 32] = 5
    assert (network(changed).vertices - network(seen).vertices).abs().max() > 0


def test_crops_of_another_size_are_refused(network: Hamba) -> None:
    with pytest.raises(ConfigurationError, match=r"\(B, 3, 256, 256\).*\(1, 3, 256, 192\)"):
        network(torch.zeros(1, 3, 256, 192))


def test_the_scan_can_be_chosen_and_makes_no_difference(tiny_release: Path) -> None:
    network = hamba_core.load(tiny_release)
    assert network.scan.kernel == "associative"
    expected = network(crops(1))
    assert network.use_scan("reference").kernel == "reference"
    assert {module.scan_kernel for module in network.modules() if isinstance(module, SS2D)} == {"reference"}
    torch.testing.assert_close(network(crops(1)).vertices, expected.vertices, rtol=0, atol=1e-5)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_forward_compiles_as_one_graph(tiny_release: Path, dtype: torch.dtype) -> None:
    network = hamba_core.load(tiny_release, dtype=dtype)
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    output: HambaOutput = compiled(crops(2))
    torch.testing.assert_close(output.vertices, network(crops(2)).vertices, rtol=0, atol=1e-5)
    assert output.initial is not None


def test_forward_exports_as_a_graph_of_plain_operations(tiny_release: Path) -> None:
    network = hamba_core.load(tiny_release)
    program = torch.export.export(network, (crops(1),))
    called = {str(node.target).partition(".")[0] for node in program.graph.nodes if node.op == "call_function"}
    assert called <= {"aten", "<built-in function getitem>", "wrap_with_autocast"}
    torch.testing.assert_close(program.module()(crops(1)).vertices, network(crops(1)).vertices, rtol=0, atol=1e-6)
