"""Every fused kernel gives what its plain reference gives, in Triton's interpreter; test_interpreted runs it."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor, nn

from hamba_core.hand import HandLayer, HandModel, load_generic_hand
from hamba_core.network.fused import convolution, graph, hands, merging, norm, patches, products, sampling, scanning
from hamba_core.network.output import HambaOutput
from hamba_core.network.token_sampler import REACH

DTYPES = st.sampled_from([torch.float32, torch.bfloat16])
SEEDS = st.integers(0, 1000)


def drawn(seed: int) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    """Equal but for the last bit of a bfloat16, which sums in another order may round the other way."""
    assert found.dtype == expected.dtype
    tolerance = 1e-5 if found.dtype == torch.float32 else 1e-2
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


@given(rows=st.integers(1, 5), width=st.integers(2, 70), dtype=DTYPES, seed=SEEDS)
def test_a_norm_adds_what_is_pending(rows: int, width: int, dtype: torch.dtype, seed: int) -> None:
    draw = drawn(seed)
    given_ = (3 * draw(rows, width) + 10, draw(width), draw(width), draw(width), 1e-6, dtype)
    assert_equal(norm.fused_norm(*given_), norm.plain_norm(*given_))


@given(
    batch=st.integers(1, 3), directions=st.integers(1, 4), length=st.integers(1, 4), width=st.integers(2, 40),
    dtype=DTYPES, seed=SEEDS,
)  # fmt: skip
def test_scans_are_merged(batch: int, directions: int, length: int, width: int, dtype: torch.dtype, seed: int) -> None:
    draw, layer = drawn(seed), nn.LayerNorm(width).requires_grad_(False)
    layer.weight.copy_(draw(width))
    layer.bias.copy_(draw(width))
    scans = draw(batch, directions, length, width)
    assert_equal(merging.fused_merge(scans, layer, dtype), merging.plain_merge(scans, layer, dtype))


@given(
    batch=st.integers(1, 3), height=st.integers(1, 6), width=st.integers(1, 5), channels=st.integers(1, 200),
    bias=st.booleans(), dtype=DTYPES, seed=SEEDS,
)  # fmt: skip
def test_maps_and_columns_are_convolved(
    batch: int, height: int, width: int, channels: int, bias: bool, dtype: torch.dtype, seed: int
) -> None:
    draw = drawn(seed)
    x, taps = draw(batch, height, width, channels).to(dtype), draw(9, channels)
    given_ = (x, taps, draw(channels) if bias else None)
    assert_equal(convolution.fused_convolution(*given_), convolution.plain_convolution(*given_))


@given(
    count=st.integers(1, 70), outputs=st.integers(1, 140), inputs=st.integers(1, 300),
    # The interpreter's dot takes a bfloat16's bits for a whole number; float16 stands in for it.
    dtype=st.sampled_from([torch.float32, torch.float16]), seed=SEEDS,
)  # fmt: skip
def test_split_products_are_added(count: int, outputs: int, inputs: int, dtype: torch.dtype, seed: int) -> None:
    draw = drawn(seed)
    x, rows, weight = draw(count, outputs), draw(count, inputs).to(dtype), draw(outputs, inputs).to(dtype)
    expected = x + rows.float() @ weight.float().T
    products.add_product(x, rows, weight, fused=True, split=True)
    torch.testing.assert_close(x, expected, rtol=1e-4, atol=1e-3)


@settings(max_examples=2)
@given(batch=st.integers(1, 2), dtype=DTYPES, seed=SEEDS)
def test_crops_become_patches(batch: int, dtype: torch.dtype, seed: int) -> None:
    crops = drawn(seed)(batch, 3, 256, 256)
    assert_equal(patches.fused_patches(crops, dtype), patches.plain_patches(crops, dtype))


@given(batch=st.integers(1, 3), width=st.integers(1, 150), dtype=DTYPES, seed=SEEDS)
def test_joints_go_through_the_graph(batch: int, width: int, dtype: torch.dtype, seed: int) -> None:
    draw = drawn(seed)
    x, pending, mixing, scale, shift = draw(batch, 22, width), draw(width), draw(21, 21), draw(width), draw(width)
    assert_equal(graph.fused_gather(x, pending, dtype), graph.plain_gather(x, pending, dtype))
    offered, again = draw(42, batch, width).to(dtype), x.clone()
    graph.plain_mix(x, offered, mixing, scale, shift, pending)
    graph.fused_mix(again, offered, mixing, scale, shift, pending)
    torch.testing.assert_close(again, x, rtol=1e-4, atol=1e-4)


@given(batch=st.integers(1, 3), channels=st.integers(1, 140), far=st.floats(0.1, 1e6), dtype=DTYPES, seed=SEEDS)
def test_features_are_sampled_at_joints_wherever_they_are(
    batch: int, channels: int, far: float, dtype: torch.dtype, seed: int
) -> None:
    draw = drawn(seed)
    features, joints_2d = draw(batch, 192, channels).to(dtype), far * draw(batch, 21, 2)
    found = sampling.fused_sample(features, joints_2d, REACH)
    expected = sampling.plain_sample(features, joints_2d)
    torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-4 if dtype == torch.float32 else 3e-2)


@given(batch=st.integers(1, 3), channels=st.integers(1, 140), dtype=DTYPES, seed=SEEDS)
def test_tokens_are_put_in_place(batch: int, channels: int, dtype: torch.dtype, seed: int) -> None:
    draw = drawn(seed)
    features, joint_tokens = draw(batch, 192, channels).to(dtype), draw(batch, 21, channels).to(dtype)
    found, expected = (way(features, joint_tokens) for way in (sampling.fused_tokens, sampling.plain_tokens))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@given(
    batch=st.integers(1, 2), height=st.integers(1, 5), width=st.integers(1, 4), channels=st.integers(1, 20),
    state=st.integers(1, 3), rank=st.integers(1, 3), dtype=DTYPES, seed=SEEDS,
)  # fmt: skip
def test_maps_are_scanned_in_four_directions(
    batch: int, height: int, width: int, channels: int, state: int, rank: int, dtype: torch.dtype, seed: int
) -> None:
    draw, length = drawn(seed), height * width
    given_ = (
        draw(batch, height, width, channels).to(dtype), draw(batch, length, 4, rank + 2 * state),
        draw(4, batch, length, channels), draw(4, channels), -draw(4, channels, state).exp(), draw(4, channels),
    )  # fmt: skip
    found, expected = scanning.fused_scans(*given_), scanning.plain_scans(*given_)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    x, features, _, *rates = given_
    weight = draw(4, channels, rank)
    found = scanning.fused_scans_and_steps(x, features, weight, *rates)
    expected = scanning.plain_scans(x, features, scanning.plain_steps(features, weight), *rates)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def hand() -> HandModel:
    return load_generic_hand()


@pytest.mark.parametrize("correctives", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_hands_are_posed_and_seen(hand: HandModel, batch: int, correctives: bool) -> None:
    draw, layer = drawn(batch), HandLayer(hand)
    if correctives:  # MANO has them, the generic hand has not
        layer.posedirs = 0.01 * draw(135, len(layer.template))
    numbers = draw(batch, 109)
    numbers[:, 106] = 1 + 0.1 * draw(batch)  # the camera's s is near 1
    expected = hands.PosedHands(layer, 5000.0, vertices=True)(numbers, fused=False)
    initial = hands.PosedHands(layer, 5000.0, vertices=False)(numbers, fused=True)
    found = hands.PosedHands(layer, 5000.0, vertices=True)(numbers, fused=True, initial=initial)
    assert found.initial is initial
    assert initial.vertices.shape == (batch, 0, 3)
    for output in (found, initial):
        for name in ("camera", "translation", "global_orient", "hand_pose", "betas", "joints", "joints_2d"):
            torch.testing.assert_close(getattr(output, name), getattr(expected, name), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.vertices, expected.vertices, rtol=1e-5, atol=1e-6)
    assert isinstance(found, HambaOutput)
