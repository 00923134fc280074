"""What a training is told: read from YAML, refused by name, and summed up in a hash."""

from pathlib import Path
from typing import Any

import pytest

from hamba_core.errors import ConfigurationError
from pipeline.training import TrainingSettings, read_training_settings, training_settings

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_the_shipped_configurations_are_read(name: str) -> None:
    settings = read_training_settings(CONFIGS / f"train_{name}.yaml", ["steps=7", "data.shards=3"])
    assert (settings.steps, settings.data.shards) == (7, 3)
    assert settings.configuration().head == "gss"


def test_the_small_configuration_is_the_network_that_ships() -> None:
    assert read_training_settings(CONFIGS / "train_small.yaml").configuration() == TrainingSettings().configuration()


@pytest.mark.parametrize(
    ("tree", "named"),
    [
        ({"stepz": 3}, "stepz"),
        ({"steps": 0}, "steps"),
        ({"network": {"head": "cnn"}}, "head"),
        ({"losses": {"joint": 1}}, "joint"),
        ({"data": {"variants": 0}}, "variants"),
    ],
)
def test_wrong_settings_are_named(tree: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        training_settings(tree, "test")


def test_the_hash_stands_for_what_changes_the_weights() -> None:
    first = TrainingSettings()
    elsewhere = training_settings({"data": {"folder": "/tmp/elsewhere"}, "threads": 4}, "test")
    assert first.hash() == elsewhere.hash()
    others: list[dict[str, Any]] = [
        {"seed": 1},
        {"network": {"hidden": 8}},
        {"losses": {"betas": 1.0}},
        {"data": {"shards": 3}},
        {"data": {"second": 3}},
    ]
    assert len({first.hash(), *(training_settings(tree, "test").hash() for tree in others)}) == 6
