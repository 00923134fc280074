"""The released architecture trains on mixed data sets with the paper's losses, and what comes out is a release."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from hamba_core.errors import ConfigurationError, WeightsError
from hamba_core.hand import load_generic_hand
from hamba_core.network import BackboneConfiguration, DecoderConfiguration, Hamba, HambaConfiguration
from hamba_core.training import CropTruths, ReleasedLossWeights, released_losses
from hamba_core.weights import fill_backbone, load, write_random_release
from pipeline.commands.cli import app
from pipeline.terminal import run_app
from pipeline.training import ReleasedSettings, new_network, released_settings, train_released
from pipeline.training.checkpoint import CHECKPOINT
from pipeline.training.curves import CURVES
from pipeline.training.data_sets import Mixture, open_data, shown
from pipeline.training.released import ReleasedRun, begun_network
from stages.synthetic.crops import write_shard

DECODER = DecoderConfiguration(depths=(1,), width=32, dt_rank=2)
MINI = HambaConfiguration(DECODER, DECODER, BackboneConfiguration(32, 1, 64))

Make = Callable[..., ReleasedSettings]


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    write_shard(folder / "crops_000000000.npz", range(6))
    return folder


@pytest.fixture
def make(crops: Path) -> Make:
    """make(**changes) -> settings of a tiny run on rendered crops."""
    network = {name: value for name, value in asdict(MINI).items() if isinstance(value, dict)}

    def made(**changes: Any) -> ReleasedSettings:
        data = {"folders": {"rendered": str(crops)}, "aside": 0.34}
        tree = {"network": network, "data": data, "steps": 4, "batch": 4, "learning_rate": 2e-3}
        return released_settings({**tree, "evaluate_every": 2, "checkpoint_every": 1, **changes}, "test")

    return made


def run_of(settings: ReleasedSettings, folder: Path) -> ReleasedRun:
    mixture = Mixture(open_data(settings.data.folders), None, settings.data.aside, settings.seed)
    return ReleasedRun(settings, begun_network(settings, load_generic_hand()), mixture, folder)


def test_it_learns_leaves_frozen_parts_alone_and_is_loaded_as_a_release(make: Make, tmp_path: Path) -> None:
    plain = {"scale": 0.0, "turn": 0.0, "shift": 0.0, "colour": 0.0}
    settings = make(steps=25, freeze=["backbone"], augmentation=plain, evaluate_every=25, checkpoint_every=25)
    before = begun_network(settings, load_generic_hand())
    trained = train_released(settings, tmp_path)
    with (tmp_path / CURVES).open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert len(losses) == 25
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])
    assert trained.scores.hands == 2
    assert trained.scores.pa_mpjpe < 60

    loaded = load(trained.release, load_generic_hand(), folded=False)
    state = loaded.state_dict()
    moved = {
        name.partition(".")[0] for name, value in before.state_dict().items() if not torch.equal(value, state[name])
    }
    assert moved == {"downsample", "joint_regressor", "token_sampler", "gss_head"}


def test_a_run_that_was_killed_ends_as_one_that_was_not(make: Make, tmp_path: Path) -> None:
    settings = make(average=0.5, adversarial=True)
    whole = run_of(settings, tmp_path / "whole")
    whole.run()

    class Killed(Exception):  # noqa: N818 - no error of the training's
        pass

    def kill(step: str) -> None:
        if step.startswith("step 3/"):
            raise Killed

    with pytest.raises(Killed):
        run_of(settings, tmp_path / "pieces").run(kill)
    resumed = run_of(settings, tmp_path / "pieces")
    resumed.run()
    for (name, expected), found in zip(
        whole.network.state_dict().items(), resumed.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, expected, msg=name)
    with (tmp_path / "pieces" / CURVES).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert [bool(row["pa_mpjpe"]) for row in rows] == [False, True, False, True]
    assert all(float(row["adversarial"]) > 0 and float(row["discriminator"]) > 0 for row in rows)
    with pytest.raises(ConfigurationError, match="expected a run with the settings"):
        run_of(make(average=0.5, adversarial=True, seed=1), tmp_path / "pieces").run()


def test_it_goes_on_from_a_release_or_from_anothers_backbone(make: Make, tmp_path: Path) -> None:
    release, other = tmp_path / "release", tmp_path / "other"
    write_random_release(release, MINI, seed=1)
    write_random_release(other, MINI, seed=2)
    expected = load(release, load_generic_hand(), folded=False)
    hand = load_generic_hand()
    begun = begun_network(make(start=str(release)), hand)
    assert_same(begun, expected, "")
    both = begun_network(make(start=str(release), start_backbone=str(other)), hand)
    assert_same(both, load(other, load_generic_hand(), folded=False), "backbone.")
    assert_same(both, expected, "gss_head.")
    trained = train_released(make(start=str(release), steps=1), tmp_path / "run")
    assert trained.release.exists()
    wide = new_network(replace(MINI, backbone=BackboneConfiguration(64, 1, 64)))
    with pytest.raises(WeightsError, match="expected a backbone of this network's size"):
        fill_backbone(wide, other)


def assert_same(found: Hamba, expected: Hamba, part: str) -> None:
    for (name, one), other in zip(found.state_dict().items(), expected.state_dict().values(), strict=True):
        if name.startswith(part):
            torch.testing.assert_close(one, other, msg=name)


def test_what_is_computed_again_gives_the_same_gradients(make: Make, tmp_path: Path) -> None:
    states = []
    for recompute in (False, True):
        run = run_of(make(steps=2, recompute=recompute), tmp_path / str(recompute))
        run.run()
        states.append(run.network.state_dict())
    assert list(states[0]) == list(states[1])
    for name, expected in states[0].items():
        torch.testing.assert_close(states[1][name], expected, msg=name)


def batch(crops: Path) -> tuple[torch.Tensor, CropTruths]:
    (data,) = open_data({"rendered": crops}).values()
    pictures, truths = zip(*(shown(data.sample(number), MINI) for number in range(2)), strict=True)
    return torch.stack(pictures), CropTruths(*(torch.stack(column) for column in zip(*truths, strict=True)))


def test_the_truth_has_no_loss_and_neither_has_what_is_not_known(crops: Path) -> None:
    pictures, truth = batch(crops)
    network = new_network(MINI).eval()
    with torch.no_grad():
        output = network(pictures)
    assert output.initial is not None
    exact = truth._replace(
        global_orient=output.global_orient, hand_pose=output.hand_pose, betas=output.betas, joints=output.joints,
        joints_2d=output.joints_2d,
    )  # fmt: skip
    alone = replace(output, initial=None)
    assert float(released_losses(alone, exact, ReleasedLossWeights())["loss"]) == 0
    assert float(released_losses(output, exact, ReleasedLossWeights())["loss"]) > 0

    whole = released_losses(alone, truth, ReleasedLossWeights())
    in_picture = truth._replace(joints_known=0 * truth.joints_known, parameters_known=0 * truth.parameters_known)
    found = released_losses(alone, in_picture, ReleasedLossWeights())
    assert {name for name, loss in found.items() if float(loss) > 0} == {"joints_2d", "loss"}
    torch.testing.assert_close(found["loss"], whole["joints_2d"])
    first_alone = truth._replace(joints_known=truth.joints_known * torch.tensor([[1.0], [0.0]]))
    joints = alone.joints - alone.joints[:, :1] - (truth.joints - truth.joints[:, :1])
    torch.testing.assert_close(
        released_losses(alone, first_alone, ReleasedLossWeights())["joints"], 0.05 * joints[0].abs().sum() / 2
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"freeze": ["neck"]}, r"freeze: expected parts of backbone.*found neck"),
        ({"data": {"folders": {}}}, "data.folders"),
        ({"losses": {"vertices": 1.0}}, "losses: expected some of joints"),
        ({"augmentation": {"blur": 1.0}}, "augmentation: expected some of scale"),
        ({"network": {"neck": {}}}, "network: expected some of"),
        ({"stepz": 1}, "stepz"),
    ],
)
def test_wrong_settings_are_named(changes: dict[str, Any], named: str, make: Make) -> None:
    with pytest.raises(ConfigurationError, match=named):
        begun_network(make(**changes), load_generic_hand())


def test_the_papers_settings_are_the_default() -> None:
    settings = ReleasedSettings()
    assert (settings.steps, settings.batch, settings.learning_rate, settings.weight_decay) == (170_000, 56, 1e-5, 1e-4)
    assert settings.configuration() == HambaConfiguration()
    weights = settings.loss_weights()
    assert (weights.joints, weights.joints_2d, weights.betas, weights.adversarial) == (0.05, 0.01, 0.0005, 0.0005)


def test_the_command_trains_from_a_file_and_prints_where_the_release_is(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(json.loads(make(steps=1).model_dump_json())))
    assert run_app(app, ["train", str(path), "--out", str(tmp_path / "run"), "--set", "batch=3"]) == 0
    assert f"Release: {tmp_path / 'run' / 'release'}" in capsys.readouterr().out
    assert (tmp_path / "run" / CHECKPOINT).exists()


@pytest.mark.slow
def test_two_processes_train_as_one_does(make: Make, tmp_path: Path) -> None:
    settings = make(steps=3, batch=5, learning_rate=1e-4)
    train_released(settings, tmp_path / "alone")
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(json.loads(settings.model_dump_json())))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "pipeline.commands.cli", "train", str(path), "--out", str(tmp_path / "together")]
    subprocess.run([*torchrun, *command], check=True, timeout=300)
    rows = []
    for run in ("alone", "together"):
        with (tmp_path / run / CURVES).open() as file:
            rows.append(list(csv.DictReader(file)))
    for one, two in zip(*rows, strict=True):
        for name in ("loss", "joints", "joints_2d", "orient", "pose", "betas"):
            assert float(two[name]) == pytest.approx(float(one[name]), rel=1e-3), name
    states = [load(tmp_path / run / "release", load_generic_hand(), folded=False) for run in ("alone", "together")]
    for (name, expected), found in zip(states[0].state_dict().items(), states[1].state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, atol=5e-4, rtol=1e-2, msg=name)
