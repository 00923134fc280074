"""The scans by rows give what the scans place by place give, on maps of any shape and in any number of directions."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings, strategies as st

import hamba_core
from hamba_core.network.configuration import DecoderConfiguration
from hamba_core.network.state_space.blocks import SS2D
from hamba_core.network.state_space.scan import choose_scan


@settings(max_examples=30)
@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 6),
    width=st.integers(1, 5),
    state=st.sampled_from([1, 3]),
    orders=st.sampled_from([1, 2]),
    two_way=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_scans_by_rows_are_the_reference(
    batch: int, height: int, width: int, state: int, orders: int, two_way: bool, seed: int
) -> None:
    torch.manual_seed(seed)
    settings = DecoderConfiguration(depths=(1,), width=8, state=state, dt_rank=2, orders=orders, two_way=two_way)
    block = SS2D(settings).requires_grad_(False)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x = torch.randn(batch, height, width, 16)
    torch.testing.assert_close(block.blocked_scans(x), block.plain_scans(x, "reference"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("width", [12, 1])
@pytest.mark.parametrize(
    "parameters",
    [
        {"A_logs": 12.0},  # decays so fast that the product over a row is 0
        {"dt_projs_bias": 200.0},  # a step whose exponential is beyond float32
        {"dt_projs_bias": -200.0},  # and one whose exponential is 0
        {"A_logs": 12.0, "dt_projs_bias": -12.0},  # small steps, in each of which half is forgotten
    ],
)
def test_states_stay_finite_and_steps_keep_their_digits(parameters: dict[str, float], width: int) -> None:
    torch.manual_seed(0)
    block = SS2D(DecoderConfiguration(depths=(1,), width=8, dt_rank=2)).requires_grad_(False)
    for each in block.parameters():
        torch.nn.init.normal_(each, std=0.5)
    for parameter, value in parameters.items():
        block.get_parameter(parameter).fill_(value)
    x = torch.randn(1, 16, width, 16)
    expected = block.plain_scans(x, "reference")
    largest = float(expected.abs().max())  # of many summands: what they cancel to may be much smaller
    torch.testing.assert_close(block.blocked_scans(x), expected, rtol=0, atol=2e-6 * largest)


def test_a_network_gives_what_it_gives_with_the_reference(tiny_release: Path) -> None:
    network, crops = hamba_core.load(tiny_release), torch.randn(2, 3, 256, 256)
    with torch.inference_mode():
        assert network.use_scan("reference").kernel == "reference"
        expected = network(crops)
        assert network.use_scan(inference=True).kernel == "blocked"
        torch.testing.assert_close(network(crops).vertices, expected.vertices, rtol=0, atol=1e-5)


def test_without_gradients_a_processor_scans_by_rows() -> None:
    assert choose_scan(torch.device("cpu"), inference=True).kernel == "blocked"
    assert choose_scan(torch.device("cpu")).kernel == "associative"
