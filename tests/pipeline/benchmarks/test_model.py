"""The network's benchmark, on a tiny network: that it measures, not what."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from hamba_core.hand import load_generic_hand
from hamba_core.network import RELEASED, BackboneConfiguration, DecoderConfiguration, HambaConfiguration
from hamba_core.weights import load, write_random_release
from pipeline.benchmarks.model import measure_model
from pipeline.benchmarks.model.floor import Floor, flop_per_hand, weights_bytes


@pytest.mark.slow  # a dozen fresh processes that import torch
def test_every_number_is_measured(tiny_release: Path, tmp_path: Path) -> None:
    steps: list[str] = []
    trace = tmp_path / "trace.json"
    result = measure_model(tiny_release, device="cpu", batches=(1, 3), rounds=2, trace=trace, on_step=steps.append)
    numbers = (
        *(result.reference_s, result.default_s, result.checkpoint_load_s, result.converted_load_s),
        *(result.first_hand_s, result.speedup_over_reference, result.throughput_over_eager, result.load_speedup),
    )
    assert min(numbers) > 0
    assert 0 < result.loading_memory_over_weights <= result.peak_memory_over_weights
    assert result.peak_memory_over_weights == pytest.approx(result.peak_memory_mib / result.weights_mib, rel=0.5)
    assert (result.rounds, result.scan, result.weights) == (2, "blocked", str(tiny_release))
    ways = ["reference", "eager", "default"]
    assert [(speed.hands, speed.way) for speed in result.batches] == [(hands, way) for hands in (1, 3) for way in ways]
    for speed in result.batches:
        assert speed.floor_ms > 0
        assert speed.p50_ms <= speed.p99_ms
        assert speed.over_floor == pytest.approx(speed.p50_ms / speed.floor_ms)
        assert speed.runs == 2
    assert {"upload", "crop", "backbone", "joint regressor", "GSS head", "read-back"} <= set(result.breakdown_ms)
    assert min(result.breakdown_ms.values()) >= 0
    json.dumps(asdict(result))
    events = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert {"hamba upload", "hamba compute", "hamba read-back"} <= events
    assert "measuring the parts" in steps


def test_the_work_of_the_released_network_is_that_of_the_paper() -> None:
    assert flop_per_hand(RELEASED) == pytest.approx(248e9, rel=0.05)  # the backbone's, and under 3 % more
    assert weights_bytes(RELEASED, torch.float32) == pytest.approx(733e6 * 4, rel=0.01)
    assert weights_bytes(RELEASED, torch.bfloat16) == pytest.approx(733e6 * 2, rel=0.02)


def test_the_floor_is_weights_read_for_small_batches_and_arithmetic_for_large_ones() -> None:
    floor = Floor(
        copied_bytes_per_s=3e12, flop_per_s=800e12, weights_bytes=1_500_000_000, flop_per_hand=250_000_000_000
    )
    assert floor.seconds(1) == pytest.approx(0.5e-3)
    assert floor.seconds(32) == pytest.approx(10e-3)


def test_a_release_of_random_weights_is_a_release(tmp_path: Path) -> None:
    decoder = DecoderConfiguration(depths=(1,), width=16, state=2, dt_rank=1, convolution_bias=True)
    configuration = HambaConfiguration(decoder, decoder, BackboneConfiguration(32, 1, 64), focal_length=4000.0)
    network = load(write_random_release(tmp_path / "release", configuration), load_generic_hand())
    assert network.configuration == configuration
    vertices = network(torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))).vertices
    assert vertices.isfinite().all()
