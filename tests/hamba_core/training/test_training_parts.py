"""First weights, losses and the running mean."""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from hamba_core.hand import exp_so3, load_generic_hand
from hamba_core.network import DecoderConfiguration, Hamba, HambaConfiguration
from hamba_core.network.configuration import BackboneConfiguration
from hamba_core.network.small import SmallOutput
from hamba_core.network.state_space import SS2D
from hamba_core.training import HandTruths, LossWeights, RunningWeights, hand_losses, initialise

DECODER = DecoderConfiguration(depths=(1,), width=16, dt_rank=2)
MINI = HambaConfiguration(DECODER, DECODER, BackboneConfiguration(32, 1, 64, 2))


def truths(count: int = 4) -> HandTruths:
    random = torch.Generator().manual_seed(0)
    hands = SmallOutput(
        torch.eye(3).repeat(count, 16, 1, 1), torch.zeros(count, 10), torch.zeros(count, 3),
        torch.randn(count, 21, 3, generator=random), torch.randn(count, 9, 3, generator=random),
        torch.randn(count, 21, 2, generator=random),
    )  # fmt: skip
    return HandTruths(hands, torch.rand(count, generator=random), torch.arange(count))


def test_the_truth_has_no_loss_and_each_error_has_its_own() -> None:
    truth = truths()
    right = truth.hands
    assert all(float(loss) == 0 for loss in hand_losses(right, truth, LossWeights()).values())
    wrong = {
        "joints": right._replace(joints=right.joints + 0.01),
        "vertices": right._replace(vertices=right.vertices + 0.01),
        "joints_2d": right._replace(joints_2d=right.joints_2d + 0.01),
        "betas": right._replace(betas=right.betas + 1),
    }
    for name, output in wrong.items():
        losses = hand_losses(output, truth, LossWeights())
        assert [key for key, loss in losses.items() if float(loss) > 0] == [name, "loss"]
    assert math.isclose(float(hand_losses(wrong["joints"], truth, LossWeights())["joints"]), 0.2, rel_tol=1e-4)


def test_two_looks_at_a_hand_disagree_by_what_their_errors_differ_in() -> None:
    truth = truths(2)
    turn = torch.from_numpy(exp_so3(np.array([0.3, -0.5, 0.9]))).float()
    first = truth.hands.joints[:1]
    rotations = truth.hands.rotations.clone()
    rotations[1, 0] = turn
    hands = truth.hands._replace(joints=torch.cat([first, first @ turn.T]), rotations=rotations)  # seen from elsewhere
    paired = HandTruths(hands, torch.ones(2), torch.tensor([1, 0]))
    weights = LossWeights(agreement=10.0)
    assert float(hand_losses(hands, paired, weights)["agreement"]) < 1e-5
    moved = torch.tensor([0.01, 0.0, 0.0])
    both = hands._replace(joints=torch.cat([first + moved, (first + moved) @ turn.T]))  # wrong in the same way
    assert float(hand_losses(both, paired, weights)["agreement"]) < 1e-5
    one = hands._replace(joints=torch.cat([first + moved, hands.joints[1:]]))
    found = hand_losses(one, paired, weights)
    assert math.isclose(float(found["agreement"]), 10 * 0.01 / 3, rel_tol=1e-3)
    alone = paired._replace(partner=torch.arange(2))
    assert float(hand_losses(one, alone, weights)["agreement"]) == 0
    assert "agreement" not in hand_losses(one, paired, LossWeights())


def test_a_hand_that_is_hidden_counts_less() -> None:
    truth = truths(2)._replace(visible=torch.tensor([1.0, 0.0]))
    first, second = (truth.hands.joints.clone() for _ in range(2))
    first[0] += 0.01
    second[1] += 0.01
    seen, hidden = (
        float(hand_losses(truth.hands._replace(joints=joints), truth, LossWeights())["loss"])
        for joints in (first, second)
    )
    assert math.isclose(hidden / seen, 0.3, rel_tol=1e-4)


def test_parts_of_a_batch_weighted_by_their_shares_give_the_loss_of_the_whole() -> None:
    truth = truths(5)
    output = truth.hands._replace(joints=truth.hands.joints * 1.1)
    whole = hand_losses(output, truth, LossWeights())["loss"]
    total = 0.0
    for part in (slice(0, 5, 2), slice(1, 5, 2)):
        some = HandTruths(
            SmallOutput(*(column[part] for column in truth.hands)), truth.visible[part], torch.arange(5)[part]
        )
        losses = hand_losses(SmallOutput(*(column[part] for column in output)), some, LossWeights())
        total += float(losses["loss"]) * LossWeights.share(some.visible, truth.visible)
    assert math.isclose(total, float(whole), rel_tol=1e-5)


def test_the_released_network_gets_finite_weights_and_begins_at_the_mean_hand() -> None:
    network = Hamba(MINI, load_generic_hand())
    initialise(network)
    assert all(torch.isfinite(parameter).all() for parameter in network.parameters())
    with torch.no_grad():
        found = network.eval()(torch.randn(2, 3, 256, 256, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(found.hand_pose, torch.eye(3).repeat(2, 15, 1, 1), atol=0.1, rtol=0)
    torch.testing.assert_close(found.camera[:, 0], torch.full((2,), 0.9), atol=0.1, rtol=0)


def test_the_same_seed_gives_the_same_weights_and_scans_begin_as_mambas() -> None:
    block, again, other = (SS2D(replace(DECODER, state=3)) for _ in range(3))
    for module, seed in ((block, 1), (again, 1), (other, 2)):
        initialise(module, seed)
    assert all(torch.equal(a, b) for a, b in zip(block.parameters(), again.parameters(), strict=True))
    assert not torch.equal(block.dt_projs_weight, other.dt_projs_weight)
    torch.testing.assert_close(block.decay_rates()[0, 0], torch.tensor([-1.0, -2.0, -3.0]))
    steps = nn.functional.softplus(block.dt_projs_bias.detach())
    assert 0.9e-3 < float(steps.min()) < float(steps.max()) < 1.1e-1


def test_the_running_mean_follows_the_weights_and_smooths_them() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(layer.weight)
    mean = RunningWeights(layer, decay=0.9)
    for step in range(400):
        nn.init.constant_(layer.weight, 1 + (-1) ** step)
        mean.add(layer)
    assert abs(float(mean.state["weight"]) - 1) < 0.11
