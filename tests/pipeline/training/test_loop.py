"""The loop learns, survives a kill, and gives the same whether one process runs it or two."""

import csv
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hamba_core.errors import ConfigurationError, SourceError, WeightsError
from hamba_core.network.small import HambaSmall
from hamba_core.training import LossWeights, hand_losses
from hamba_core.weights import save_small
from pipeline.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from pipeline.training.curves import CURVES, draw_curves
from pipeline.training.loop import Progress, Training
from pipeline.training.scores import Scores, score
from pipeline.training.settings import TrainingSettings
from pipeline.training.table import HandTable, load_table

Make = Callable[[TrainingSettings, Path], tuple[HambaSmall, HandTable]]
MakeSettings = Callable[..., TrainingSettings]


class Killed(Exception):  # noqa: N818 - no error of the training's
    pass


def trained(make: Make, settings: TrainingSettings, features: Path, folder: Path, kill_at: int = 10**9) -> HambaSmall:
    network, table = make(settings, features)

    def on_progress(progress: Progress) -> None:
        if progress.step == kill_at:
            raise Killed

    Training(settings, network, table, table, folder).run(on_progress)
    return network


def test_hands_come_nearer_to_the_truth_and_the_curves_show_it(
    made: Make, tiny_settings: MakeSettings, features: Path, tmp_path: Path
) -> None:
    settings = tiny_settings(steps=60, evaluate_every=20)
    network, table = made(settings, features)
    scores = Training(settings, network, table, table, tmp_path / "run").run()
    assert isinstance(scores, Scores)
    assert scores.mpjpe < 0.5 * scores.first_mpjpe
    assert scores == score(network, table)
    with (tmp_path / "run" / CURVES).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 61))
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    assert [row["step"] for row in rows if row["pa_mpjpe"]] == ["20", "40", "60"]
    draw_curves({"tiny": tmp_path / "run" / CURVES}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_a_run_that_was_killed_ends_as_one_that_was_not(
    made: Make, tiny_settings: MakeSettings, features: Path, tmp_path: Path
) -> None:
    settings = tiny_settings()
    whole = trained(made, settings, features, tmp_path / "whole")
    with pytest.raises(Killed):
        trained(made, settings, features, tmp_path / "pieces", kill_at=8)
    resumed = trained(made, settings, features, tmp_path / "pieces")
    for (name, expected), found in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        torch.testing.assert_close(found, expected, msg=name)
    with (tmp_path / "pieces" / CURVES).open() as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, 13))


def test_a_run_is_not_gone_on_with_under_other_settings(
    made: Make, tiny_settings: MakeSettings, features: Path, tmp_path: Path
) -> None:
    trained(made, tiny_settings(steps=3), features, tmp_path)
    with pytest.raises(ConfigurationError, match="expected a run with the settings"):
        trained(made, tiny_settings(steps=4), features, tmp_path)


def test_a_run_begins_with_the_weights_that_it_is_told_to(
    made: Make, tiny_settings: MakeSettings, features: Path, tmp_path: Path
) -> None:
    first, table = made(tiny_settings(), features)
    Training(tiny_settings(steps=60), first, table, table, tmp_path / "first").run()
    weights = tmp_path / "hamba_s.safetensors"
    save_small(first, weights, {})
    settings = tiny_settings(steps=1, learning_rate=1e-6, start=str(weights))
    second, _ = made(settings, features)
    scores = Training(settings, second, table, table, tmp_path / "second").run()
    assert scores.mpjpe == pytest.approx(score(first, table).mpjpe, rel=1e-2)
    assert settings.hash() != tiny_settings(steps=1, learning_rate=1e-6).hash()
    with pytest.raises(ConfigurationError, match="expected weights to begin from"):
        tiny_settings(start=str(tmp_path / "missing")).hash()


def test_processor_minutes_end_a_run_too(
    made: Make, tiny_settings: MakeSettings, features: Path, tmp_path: Path
) -> None:
    network, table = made(tiny_settings(), features)
    steps: list[int] = []
    settings = tiny_settings(steps=10**6, minutes=0.005)
    Training(settings, network, table, table, tmp_path).run(lambda progress: steps.append(progress.step))
    assert 1 <= steps[-1] < 10**5


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / CHECKPOINT
    save_checkpoint(path, {"network": {}, "step": 3, "settings": "5ea"})
    assert load_checkpoint(path, "5ea")["step"] == 3
    with pytest.raises(ConfigurationError, match="expected a run with the settings 0ff, found one with 5ea"):
        load_checkpoint(path, "0ff")
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(WeightsError, match="expected a training checkpoint"):
        load_checkpoint(path, "5ea")


def test_hands_that_cannot_be_seen_are_left_out(made: Make, tiny_settings: MakeSettings, features: Path) -> None:
    network, table = made(tiny_settings(), features)
    assert len(table) == 48
    with pytest.raises(SourceError, match="expected hands to learn from"):
        load_table([features], network, least_presence=2)


def test_looks_at_the_same_crop_find_each_other(made: Make, tiny_settings: MakeSettings, features: Path) -> None:
    _, table = made(tiny_settings(), features)  # two looks at each of 24 crops
    rows = torch.tensor([4, 9, 30])
    pairs = table.with_partners(rows)
    assert pairs.tolist() == [4, 5, 9, 8, 30, 31]
    assert table.truths(pairs).partner.tolist() == [1, 0, 3, 2, 5, 4]
    assert table.truths(rows).partner.tolist() == [0, 1, 2]


def test_looks_that_should_agree_come_to_agree(
    made: Make, tiny_settings: MakeSettings, features: Path, tmp_path: Path
) -> None:
    apart = []
    for weight in (0.0, 100.0):
        settings = tiny_settings(steps=80, losses={"agreement": weight})
        network, table = made(settings, features)
        Training(settings, network, table, table, tmp_path / str(weight)).run()
        rows = torch.arange(len(table))
        truth = table.truths(rows)
        with torch.no_grad():
            losses = hand_losses(network(table.views(rows)), truth, LossWeights(agreement=1.0))
        apart.append(float(losses["agreement"]))
    assert apart[1] < 0.8 * apart[0]


TOGETHER = """
import sys, torch
from pathlib import Path
from pipeline.training.loop import Training
from pipeline.training.engine import joined, parted
from pipeline.training.settings import training_settings
from pipeline.training.table import load_table
from hamba_core.hand import load_generic_hand
from hamba_core.network.small import HambaSmall
from hamba_core.weights import save_small
import json
torch.set_num_threads(1)
settings = training_settings(json.loads(sys.argv[1]), "test")
network = HambaSmall(settings.configuration(), load_generic_hand(), [0, 50])
network.use_scan("walk")
table = load_table([Path(sys.argv[2])], network)
fabric = joined("cpu")
Training(settings, network, table, table, Path(sys.argv[3]), fabric).run()
torch.save(network.state_dict(), f"{sys.argv[3]}/end{fabric.global_rank}.pt")
parted()
"""


@pytest.mark.slow
def test_two_processes_train_as_one_does(
    made: Make, tiny_settings: MakeSettings, features: Path, tmp_path: Path
) -> None:
    settings = tiny_settings(steps=5)
    alone = trained(made, settings, features, tmp_path / "alone")
    (tmp_path / "together").mkdir()
    script = tmp_path / "together.py"
    script.write_text(TOGETHER)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    arguments = [str(script), settings.model_dump_json(), str(features), str(tmp_path / "together")]
    subprocess.run([*torchrun, *arguments], check=True, timeout=300)
    states: list[dict[str, Tensor]] = [torch.load(tmp_path / "together" / f"end{rank}.pt") for rank in range(2)]
    for name, expected in alone.state_dict().items():
        for state in states:
            torch.testing.assert_close(state[name], expected, atol=2e-4, rtol=1e-3, msg=name)
    losses = []
    for run in ("alone", "together"):
        with (tmp_path / run / CURVES).open() as file:
            losses.append([float(row["loss"]) for row in csv.DictReader(file)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
