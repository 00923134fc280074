"""A training on made-up hands that takes a second: features without pictures, and a network of a few numbers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hamba_core.hand import exp_so3, load_generic_hand
from hamba_core.network.small import HambaSmall
from pipeline.training.settings import TrainingSettings, training_settings
from pipeline.training.table import HandTable, load_table

TINY = {
    "hidden": 16,
    "token_readout": 2,
    "dropout": 0.0,
    "gss_head": {"width": 8, "depths": [1], "dt_rank": 1, "mlp_ratio": 1.0},
}


@pytest.fixture
def features(tmp_path: Path) -> Path:
    """A file of features of 48 hands whose first estimates are all wrong in the same way."""
    random, count = np.random.default_rng(0), 48
    orient = np.stack([exp_so3(turn) for turn in random.normal(0, 1, (count, 3))])
    pose = np.tile(np.eye(3), (count, 15, 1, 1))
    wrist = np.stack([random.normal(0, 0.05, count), random.normal(0, 0.05, count), random.uniform(0.4, 0.8, count)], 1)
    betas, focal = random.normal(0, 1, (count, 10)), random.uniform(3, 4, count)
    joints = load_generic_hand().joints(orient, pose, betas, np.zeros((count, 3)))
    joints = joints - joints[:, :1]
    points = joints + wrist[:, None]
    seen = points[..., :2] / points[..., 2:] * focal[:, None, None]
    columns = {
        "tokens": random.normal(0, 1, (count, 21, 344)), "pooled": random.normal(0, 1, (count, 1152)),
        "coarse": random.normal(0, 1, (count, 192, 7, 7)),
        "landmarks": np.concatenate([seen, joints[..., 2:] / 0.1], -1), "world": joints, "focal_length": focal,
        "first_rotations": np.concatenate([orient[:, None], pose @ exp_so3(np.array([0.3, 0, 0]))], 1),
        "first_betas": 0 * betas, "first_wrist": wrist + np.array([0, 0, 0.03]), "presence": np.ones(count),
        "first_error": np.zeros(count), "rotations": np.concatenate([orient[:, None], pose], 1), "betas": betas,
        "wrist": wrist, "visible": np.ones(count),
        "crop": np.arange(count) // 2,
    }  # fmt: skip
    path = tmp_path / "crops_000000000.features-2.0.npz"
    np.savez(
        path, **{name: column.astype(np.int64 if name == "crop" else np.float32) for name, column in columns.items()}
    )
    return path


@pytest.fixture
def tiny_settings() -> Callable[..., TrainingSettings]:
    """Settings of a tiny run, with changes."""

    def settings(**changes: Any) -> TrainingSettings:
        tree = {"network": TINY, "steps": 12, "batch": 16, "average": 0.5, "warm_up": 2, "learning_rate": 5e-3}
        return training_settings({**tree, "evaluate_every": 6, "checkpoint_every": 3, **changes}, "test")

    return settings


@pytest.fixture
def made() -> Callable[[TrainingSettings, Path], tuple[HambaSmall, HandTable]]:
    """made(settings, features) -> a network and the table of the hands."""

    def make(settings: TrainingSettings, features: Path) -> tuple[HambaSmall, HandTable]:
        torch.set_num_threads(1)
        network = HambaSmall(settings.configuration(), load_generic_hand(), [0, 50])
        network.use_scan("walk")
        return network, load_table([features], network)

    return make
