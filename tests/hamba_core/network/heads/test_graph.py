"""The graph convolution mixes neighbours of the hand's skeleton, and only those."""

import numpy as np
import pytest
import torch

from hamba_core.hand import JOINT_PARENTS
from hamba_core.network.heads.graph import EDGES, GraphLayer, SemanticGraphConvolution


@pytest.fixture
def convolution() -> SemanticGraphConvolution:
    module = SemanticGraphConvolution(6)
    random = torch.Generator().manual_seed(0)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    return module.requires_grad_(False)


def test_it_computes_the_formula(convolution: SemanticGraphConvolution) -> None:
    x = torch.randn(2, 21, 6, generator=torch.Generator().manual_seed(1))
    logits = np.full((21, 21), -np.inf)
    logits[tuple(np.array(sorted(EDGES)).T)] = convolution.e_1[0].numpy()
    mixing = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    w, points = convolution.W.double().numpy(), x.double().numpy()
    itself = np.einsum("bjc,jcd->bjd", points, w[0])
    offered = np.einsum("bjc,jcd->bjd", points, w[1])
    expected = itself + np.einsum("ji,bid->bjd", mixing, offered) + convolution.bias.numpy()
    np.testing.assert_allclose(convolution(x).numpy(), expected, rtol=1e-4, atol=1e-5)


def test_edges_are_the_bones_in_both_directions_in_the_order_of_a_matrix() -> None:
    neighbours = {
        (a, b)
        for child, parent in enumerate(JOINT_PARENTS)
        if parent >= 0
        for a, b in ((child, parent), (parent, child))
    }
    assert list(EDGES) == sorted(neighbours)
    assert len(EDGES) == 40


def test_a_joint_hears_itself_and_its_neighbours_alone(convolution: SemanticGraphConvolution) -> None:
    x = torch.randn(1, 21, 6, generator=torch.Generator().manual_seed(1))
    before = convolution(x)
    for joint in (0, 4, 6):
        moved = x.clone()
        moved[0, joint] += 1
        changed = {int(j) for j in (convolution(moved) - before)[0].abs().amax(1).gt(1e-5).nonzero()}
        assert changed == {joint} | {a for a, b in EDGES if b == joint}


def test_the_identitys_weights_have_no_effect(convolution: SemanticGraphConvolution) -> None:
    x = torch.randn(1, 21, 6, generator=torch.Generator().manual_seed(1))
    before = convolution(x)
    convolution.e_0.data += 3
    torch.testing.assert_close(convolution(x), before, rtol=0, atol=0)


def test_a_layer_ends_with_relu() -> None:
    layer = GraphLayer(6).eval().requires_grad_(False)
    random = torch.Generator().manual_seed(0)
    for parameter in layer.gconv.parameters():
        parameter.data = torch.randn(parameter.shape, generator=random)
    y = layer(torch.randn(3, 21, 6, generator=random))
    assert y.min() == 0
    assert y.max() > 0
