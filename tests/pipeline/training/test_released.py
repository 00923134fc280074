"""The released architecture trains with the paper's losses, and what comes out is a release."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hamba_core.errors import ConfigurationError
from hamba_core.hand import load_generic_hand
from hamba_core.network import BackboneConfiguration, DecoderConfiguration, HambaConfiguration
from hamba_core.training import ReleasedLossWeights, released_losses
from hamba_core.weights import load, save_release
from pipeline.training import ReleasedTraining, crop_batches, new_network, train_released
from stages.synthetic.crops import Shard, read_shard, write_shard

DECODER = DecoderConfiguration(depths=(1,), width=32, dt_rank=2)
MINI = HambaConfiguration(DECODER, DECODER, BackboneConfiguration(32, 1, 64))


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    path = tmp_path_factory.mktemp("crops") / "crops_000000000.npz"
    write_shard(path, range(4))
    return read_shard(path)


def test_it_learns_leaves_frozen_parts_alone_and_is_loaded_as_a_release(shard: Shard, tmp_path: Path) -> None:
    network = new_network(MINI)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    losses: list[float] = []
    settings = ReleasedTraining(steps=12, batch=4, learning_rate=2e-3, freeze=("backbone",))
    batches = crop_batches(shard, MINI, settings.batch, seed=0)
    train_released(network, batches, settings, lambda step, each: losses.append(each["loss"]))
    assert len(losses) == 12
    assert losses[-1] < 0.8 * losses[0]
    state = dict(network.named_parameters())
    moved = {name.partition(".")[0] for name, value in before.items() if not torch.equal(value, state[name])}
    assert moved == {"downsample", "joint_regressor", "token_sampler", "gss_head"}

    save_release(network, tmp_path / "release")
    loaded = load(tmp_path / "release", load_generic_hand())
    crops, _ = next(batches)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(crops).joints, network(crops).joints, atol=1e-4, rtol=1e-4)


def test_crops_and_truths_are_in_one_frame_and_the_truth_has_no_loss(shard: Shard) -> None:
    crops, truth = next(crop_batches(shard, MINI, 2, seed=0))
    assert crops.shape == (2, 3, 256, 256)
    assert truth.joints_2d.abs().mean() < 0.5
    network = new_network(MINI).eval()
    with torch.no_grad():
        output = network(crops)
    assert output.initial is not None
    exact = truth._replace(
        global_orient=output.global_orient, hand_pose=output.hand_pose, betas=output.betas, joints=output.joints,
        joints_2d=output.joints_2d,
    )  # fmt: skip
    alone = replace(output, initial=None)
    assert float(released_losses(alone, exact, ReleasedLossWeights())["loss"]) == 0
    assert float(released_losses(output, exact, ReleasedLossWeights())["loss"]) > 0


def test_parts_that_are_not_there_cannot_be_frozen(shard: Shard) -> None:
    with pytest.raises(ConfigurationError, match=r"freeze: expected parts of backbone.*found neck"):
        train_released(
            new_network(MINI), crop_batches(shard, MINI, 2, 0), ReleasedTraining(steps=1, batch=2, freeze=("neck",))
        )
