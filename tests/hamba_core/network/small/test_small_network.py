"""hamba-s: it begins at the first estimate, sees what it is given, and keeps the geometry of its view."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from hamba_core.errors import ConfigurationError
from hamba_core.hand import load_generic_hand
from hamba_core.network import DecoderConfiguration
from hamba_core.network.small import FirstEstimate, HambaSmall, HandViews, SmallConfiguration, sample_maps
from hamba_core.training import initialise

DECODER = DecoderConfiguration(depths=(1,), width=16, dt_rank=2, mlp_ratio=1.0, orders=1)
TINY = SmallConfiguration(gss_head=DECODER, joint_regressor=replace(DECODER, orders=2), hidden=24, token_readout=4)
VARIANTS = {
    "gss": TINY,
    "mlp": replace(TINY, head="mlp"),
    "no image features": replace(TINY, image_features=False),
    "no graph": replace(TINY, gss_head=replace(DECODER, graph=False)),
    "one way": replace(TINY, gss_head=replace(DECODER, two_way=False)),
    "joint regressor": replace(TINY, first_estimate="regressor"),
}

MakeNetwork = Callable[[SmallConfiguration], HambaSmall]


def make_network(configuration: SmallConfiguration, seed: int = 0) -> HambaSmall:
    network = HambaSmall(configuration, load_generic_hand(), vertices=[0, 100])
    initialise(network, seed)
    return network.eval()


def some_views(hands: int = 3, seed: int = 0) -> HandViews:
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    rotations, _ = torch.linalg.qr(normal(hands, 16, 3, 3))
    rotations = rotations * torch.linalg.det(rotations)[..., None, None]
    wrist = torch.cat([0.1 * normal(hands, 2), 0.5 + 0.1 * torch.rand(hands, 1, generator=random)], 1)
    return HandViews(
        normal(hands, 21, 344), normal(hands, 1152), normal(hands, 192, 7, 7), normal(hands, 21, 3),
        0.05 * normal(hands, 21, 3), 3 + torch.rand(hands, generator=random),
        FirstEstimate(rotations, normal(hands, 10), wrist),
    )  # fmt: skip


def test_before_training_its_answer_is_near_the_first_estimate() -> None:
    network, views = make_network(TINY), some_views()
    with torch.no_grad():
        found = network(views)
    torch.testing.assert_close(found.rotations, views.first.rotations, atol=0.05, rtol=0)
    torch.testing.assert_close(found.wrist, views.first.wrist, atol=0.02, rtol=0)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_gives_rotations_and_learns_in_all_its_parts(name: str) -> None:
    network, views = make_network(VARIANTS[name]), some_views()
    network.learn_scales(views)
    found = network(views)
    identity = torch.eye(3).expand_as(found.rotations)
    torch.testing.assert_close(found.rotations @ found.rotations.mT, identity, atol=1e-4, rtol=0)
    parts = (found.joints, found.vertices, found.joints_2d, found.betas)
    loss = torch.stack([part.square().sum() for part in parts]).sum()
    torch.autograd.backward(loss)
    without_effect = {"e_0"}
    for parameter_name, parameter in network.named_parameters():
        if parameter_name.rpartition(".")[2] in without_effect or "outnorms.0" in parameter_name:
            continue
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


def test_the_graph_and_the_scans_carry_a_joints_features_to_others_and_the_mlp_does_not() -> None:
    views = some_views(1)
    changed = views.tokens.clone()
    changed[:, 5] += 1
    for name, travels in (("gss", True), ("one way", True), ("no graph", True), ("mlp", False)):
        network = make_network(VARIANTS[name])
        decoded: list[Tensor] = []
        network.narrow.register_forward_hook(lambda module, given, answer, to=decoded: to.append(given[0]))
        with torch.no_grad():
            network(views)
            network(views._replace(tokens=changed))
        moved = (decoded[0] - decoded[1]).abs().amax(-1)[0] > 1e-7
        assert bool(moved[5])
        assert bool(moved[17]) == travels, name


def test_a_one_way_scan_leaves_the_tokens_before_a_change_as_they_are() -> None:
    configuration = replace(TINY, gss_head=replace(DECODER, two_way=False, graph=False))
    network, views = make_network(configuration), some_views(1)
    changed = views.tokens.clone()
    changed[:, 10] += 1
    decoded: list[Tensor] = []
    network.narrow.register_forward_hook(lambda module, given, answer: decoded.append(given[0]))
    with torch.no_grad():
        network(views)
        network(views._replace(tokens=changed))
    moved = (decoded[0] - decoded[1]).abs().amax(-1)[0] > 1e-7
    assert not moved[:9].any()  # the convolution before the scan sees one token further
    assert moved[10:21].all()


def test_it_sees_the_picture_only_where_it_is_meant_to() -> None:
    views = some_views(1)
    for name, looks in (("gss", True), ("no image features", False)):
        network = make_network(VARIANTS[name])
        with torch.no_grad():
            same = network(views).rotations.equal(network(views._replace(pooled=views.pooled + 1)).rotations)
        assert same is not looks, name


def test_hands_are_posed_and_projected_in_their_views() -> None:
    network, views = make_network(TINY), some_views()
    with torch.no_grad():
        found = network(views)
    points = found.joints + found.wrist[:, None]
    expected = points[..., :2] / points[..., 2:] * views.focal_length[:, None, None]
    torch.testing.assert_close(found.joints_2d, expected)
    assert found.joints[:, 0].abs().max() == 0
    assert found.vertices.shape == (3, 7, 3)  # the tips, then those asked for


def test_the_vertices_that_are_kept_are_the_models_own() -> None:
    whole = HambaSmall(TINY, load_generic_hand())
    some = HambaSmall(TINY, load_generic_hand(), vertices=[3, 700])
    first, focal = some_views().first, some_views().focal_length
    (all_vertices, joints, _), (kept, same_joints, _) = whole.posed(first, focal), some.posed(first, focal)
    torch.testing.assert_close(kept[:, 5:], all_vertices[:, [3, 700]])
    torch.testing.assert_close(same_joints, joints)


def test_tokens_are_sampled_where_the_joints_are_from_every_map() -> None:
    fine = torch.arange(16.0).view(1, 1, 4, 4)
    coarse = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    places = torch.tensor([[[-0.75, -0.75], [0.75, -0.75], [-5.0, 5.0]]])
    tokens = sample_maps([fine, coarse], places)
    assert tokens.shape == (1, 3, 2)
    torch.testing.assert_close(tokens[0, :, 0], torch.tensor([0.0, 3.0, 12.0]))
    torch.testing.assert_close(tokens[0, :, 1], torch.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("name", VARIANTS)
def test_a_configuration_comes_back_from_its_numbers(name: str) -> None:
    assert SmallConfiguration.from_dict(VARIANTS[name].to_dict()) == VARIANTS[name]


@pytest.mark.parametrize(
    "wrong",
    [
        {"head": "transformer"}, {"hidden": 0}, {"widht": 3}, {"gss_head": {"depth": 2}}, {"dropout": 1.0},
        {"dropout": "x"}, {"hidden": 10**9}, {"image_features": 1}, {"backbone": 3}, {"backbone": {"pooled": 10**9}},
        {"backbone": {"pooled": "x"}}, {"backbone": {"maps": [40, None, 192]}}, {"backbone": {"maps": [10**9] * 3}},
        {"backbone": {"maps": [1] * 300}}, {"gss_head": {"orders": None}}, {"gss_head": {"orders": float("nan")}},
        {"gss_head": {"width": 64.5}}, {"gss_head": {"depths": [256, 256]}}, {"gss_head": {"depths": 1}},
        {"gss_head": {"depths": [200], "width": 4096}}, {"gss_head": {"two_way": "no"}},
        {"gss_head": {"state": 32768, "dt_rank": 32768, "depths": [4]}}, [], None, 3, "x", [[1, 2]], {"a": []},
    ],
)  # fmt: skip
def test_a_wrong_configuration_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        SmallConfiguration.from_dict(wrong)
