"""The network's benchmark, on a tiny network: that it measures, not what."""

from pathlib import Path

import pytest
import torch

from hamba_core.configuration import BackboneConfiguration, DecoderConfiguration, HambaConfiguration
from hamba_core.generic_hand import load_generic_hand
from hamba_core.loading import load
from hamba_core.random_release import write_random_release
from pipeline.benchmarks.model import measure_model


@pytest.mark.slow  # a dozen fresh processes that import torch
def test_every_number_is_measured(tiny_release: Path) -> None:
    steps: list[str] = []
    result = measure_model(tiny_release, rounds=2, on_step=steps.append)
    times = (
        result.reference_s,
        result.default_s,
        result.checkpoint_load_s,
        result.converted_load_s,
        result.first_hand_s,
    )
    assert min(times) > 0
    assert result.speedup_over_reference == pytest.approx(result.reference_s / result.default_s, rel=0.5)
    assert result.load_speedup == pytest.approx(result.checkpoint_load_s / result.converted_load_s, rel=0.5)
    assert result.peak_memory_over_weights == pytest.approx(result.peak_memory_mib / result.weights_mib, rel=0.5)
    assert (result.rounds, result.scan, result.weights) == (2, "associative", str(tiny_release))
    assert steps[-1] == "running both networks in turns"


def test_a_release_of_random_weights_is_a_release(tmp_path: Path) -> None:
    decoder = DecoderConfiguration(depths=(1,), width=16, state=2, dt_rank=1, convolution_bias=True)
    configuration = HambaConfiguration(decoder, decoder, BackboneConfiguration(32, 1, 64), focal_length=4000.0)
    network = load(write_random_release(tmp_path / "release", configuration), load_generic_hand())
    assert network.configuration == configuration
    vertices = network(torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))).vertices
    assert vertices.isfinite().all()
