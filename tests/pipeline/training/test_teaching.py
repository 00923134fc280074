"""Distillation: a released network is asked about crops, and hamba-s learns to answer as it does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hamba_core.errors import ConfigurationError
from hamba_core.network.small import HambaSmall
from hamba_core.training import HandTruths, LossWeights, hand_losses
from pipeline.training import train, training_settings
from pipeline.training.data_sets import rendered_sample, shown
from pipeline.training.features import features_of
from pipeline.training.loop import Training
from pipeline.training.settings import TrainingSettings
from pipeline.training.table import HandTable, load_table
from pipeline.training.teaching import Teacher, taught_views
from stages.synthetic.crops import read_shard, write_shard


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crops") / "crops_000000000.npz"
    write_shard(path, range(10))
    return path


def test_the_teacher_is_asked_once_and_its_joints_are_in_each_looks_view(
    shard: Path, tiny_release: Path, tmp_path: Path
) -> None:
    from hamba_core import load

    teacher, asked = Teacher(tiny_release, None), list[str]()
    looks = [features_of(shard, tmp_path, variant) for variant in (0, 1)]
    views = taught_views(looks, [shard, shard], teacher, tmp_path, asked.append)
    assert asked == ["asking the teacher about crops_000000000.npz"]
    network, crops = load(tiny_release), read_shard(shard)
    crop, truth = shown(rendered_sample(crops, 3), network.configuration)
    with torch.no_grad():
        joints = network(crop[None]).joints[0].numpy()
    joints = joints - joints[0]
    for look, view in zip(looks, views, strict=True):
        # A hand whose orientation were the true one would be seen as the truth is in that view.
        R_view_crop = np.load(look)["rotations"][3, 0] @ truth.global_orient.numpy().T
        np.testing.assert_allclose(view[3], joints @ R_view_crop.T, atol=1e-5)
    assert Teacher(tiny_release, None).joints_of(shard, tmp_path, asked.append).shape == (10, 21, 3)
    assert len(asked) == 1


Made = Callable[[TrainingSettings, Path], tuple[HambaSmall, HandTable]]


def test_what_is_taught_is_learned(
    made: Made, tiny_settings: Callable[..., TrainingSettings], features: Path, tmp_path: Path
) -> None:
    """The teacher has each hand's joints a fifth larger than they are."""
    settings = tiny_settings(steps=80, losses={"taught": 200.0, "betas": 0.0})
    network, table = made(settings, features)
    joints = (1.2 * table.columns["joints"]).numpy()
    taught = load_table([features], network, taught=[joints])
    rows = torch.arange(len(taught))
    errors = []
    for columns in (table, taught):
        Training(settings, network, columns, table, tmp_path / str(len(columns.columns))).run()
        truth: HandTruths = taught.truths(rows)
        with torch.no_grad():
            errors.append(float(hand_losses(network(table.views(rows)), truth, LossWeights(taught=1.0))["taught"]))
    assert errors[1] < 0.7 * errors[0]


@pytest.mark.slow
def test_a_whole_run_learns_from_a_release(tiny_release: Path, tmp_path: Path) -> None:
    tree = {
        "network": {"hidden": 16, "gss_head": {"width": 8, "depths": [1], "dt_rank": 1}},
        "data": {"folder": str(tmp_path / "crops"), "shards": 1, "crops_per_shard": 24, "variants": 2},
        "teacher": str(tiny_release), "steps": 4, "batch": 8,
    }  # fmt: skip
    said: list[str] = []
    trained = train(training_settings(tree, "test"), tmp_path / "run", said.append)
    model = trained.exported.read_bytes()
    assert b"exporting.py" not in model  # torch notes at each node where in the code, and on which machine, it was made
    assert any("asking the teacher" in line for line in said)
    header, *rows = (tmp_path / "run" / "curves.csv").read_text().splitlines()
    column = header.split(",").index("taught")
    assert all(float(row.split(",")[column]) > 0 for row in rows)
    assert (tmp_path / "run" / "hands.png").read_bytes().startswith(b"\x89PNG")


def test_a_teacher_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="teacher: expected a released checkpoint"):
        Teacher(tmp_path / "missing.ckpt", None)
