"""Weights of a hamba-s go into one file and come back with their network."""

from pathlib import Path

import pytest
import torch

from hamba_core.errors import WeightsError
from hamba_core.hand import load_generic_hand
from hamba_core.network import DecoderConfiguration
from hamba_core.network.small import HambaSmall, SmallConfiguration
from hamba_core.training import initialise
from hamba_core.weights import fill_small, load_small, save_small, small_origin

TINY = SmallConfiguration(gss_head=DecoderConfiguration(depths=(1,), width=8, dt_rank=1, orders=1), hidden=8)


def made(configuration: SmallConfiguration = TINY) -> HambaSmall:
    network = HambaSmall(configuration, load_generic_hand(), [])
    initialise(network)
    return network


def test_they_come_back_with_configuration_and_origin(tmp_path: Path) -> None:
    path, network = tmp_path / "weights" / "hamba_s.safetensors", made()
    save_small(network, path, {"seed": "7"})
    loaded = load_small(path, load_generic_hand())
    assert loaded.configuration == TINY
    assert not loaded.training
    for name, expected in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], expected)
    assert small_origin(path)["seed"] == "7"


def test_no_hand_model_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "hamba_s.safetensors"
    save_small(made(), path, {})
    vertices = len(load_generic_hand().v_template)
    assert not [name for name in made().state_dict() if "hand_layer" in name]
    assert path.stat().st_size < 4 * vertices * 3 * 10 + 4 * sum(p.numel() for p in made().parameters())


def test_weights_of_another_network_and_damaged_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "hamba_s.safetensors"
    save_small(made(), path, {})
    with pytest.raises(WeightsError, match="expected weights of a hamba-s"):
        fill_small(made(SmallConfiguration.from_dict({**TINY.to_dict(), "hidden": 9})), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="expected weights of a hamba-s"):
        load_small(path, load_generic_hand())
    with pytest.raises(WeightsError, match="expected weights of a hamba-s"):
        load_small(tmp_path / "missing.safetensors", load_generic_hand())
