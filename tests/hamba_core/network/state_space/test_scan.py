"""Every way to scan gives what the recurrence says, forward and backward."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from torch import Tensor

from hamba_core.errors import DependencyError
from hamba_core.network.state_space.scan import SequenceScan, choose_scan, linear_recurrence, selective_scan

LENGTHS = [1, 2, 3, 22, 31, 192]
TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 1e-2}


def scan_inputs(length: int, state: int, dtype: torch.dtype = torch.float32, channels: int = 5) -> list[Tensor]:
    random = torch.Generator().manual_seed(1000 * length + state)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    u, delta = normal(2, 4, length, channels), torch.nn.functional.softplus(normal(2, 4, length, channels) - 1)
    B, C = normal(2, 4, length, state), normal(2, 4, length, state)
    A, D = -torch.exp(normal(4, channels, state)), normal(4, channels)
    return [x.requires_grad_() for x in (u.to(dtype), delta.to(dtype), A, B.to(dtype), C.to(dtype), D)]


def outcome(kernel: SequenceScan, inputs: list[Tensor]) -> list[Tensor]:
    """The scan's answer and the gradients of a fixed weighting of it."""
    for tensor in inputs:
        tensor.grad = None
    y = selective_scan(*inputs, kernel=kernel)
    weights = torch.linspace(-1, 1, y.numel()).view_as(y)
    torch.autograd.backward((y.float() * weights).sum())
    # Over a single place nothing decays, and A has no gradient.
    return [y.detach(), *(torch.zeros_like(x) if x.grad is None else x.grad for x in inputs)]


def relative_error(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).abs().max() / expected.float().abs().max().clamp_min(1e-12))


@pytest.mark.parametrize("kernel", ["associative", "walk"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("state", [1, 4, 16])
@pytest.mark.parametrize("length", LENGTHS)
def test_the_scans_in_plain_torch_agree_with_the_reference_forward_and_backward(
    length: int, state: int, dtype: torch.dtype, kernel: SequenceScan
) -> None:
    inputs = scan_inputs(length, state, dtype)
    expected = outcome("reference", inputs)
    found = outcome(kernel, inputs)
    assert len(found) == len(expected) == 7
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        assert relative_error(ours, theirs) < TOLERANCE[dtype]


@pytest.mark.parametrize("state", [1, 4])
def test_the_reference_computes_the_recurrence_of_the_paper(state: int) -> None:
    inputs = scan_inputs(7, state)
    u, delta, A, B, C, D = (x.detach().double().numpy() for x in inputs)
    y = selective_scan(*inputs, kernel="reference").detach().numpy()
    for batch, k, c in np.ndindex(2, 4, 5):
        h = np.zeros(state)
        for t in range(7):
            h = np.exp(delta[batch, k, t, c] * A[k, c]) * h + delta[batch, k, t, c] * u[batch, k, t, c] * B[batch, k, t]
            expected = h @ C[batch, k, t] + D[k, c] * u[batch, k, t, c]
            assert y[batch, k, t, c] == pytest.approx(expected, rel=1e-4, abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 70), seed=st.integers(0, 2**16))
def test_the_tree_gives_the_recurrence_at_any_length(length: int, seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    decay = torch.rand(1, 2, length, 3, generator=random, dtype=torch.float64)
    source = torch.randn(1, 2, length, 3, generator=random, dtype=torch.float64)
    h, expected = torch.zeros(1, 2, 3, dtype=torch.float64), []
    for t in range(length):
        h = decay[:, :, t] * h + source[:, :, t]
        expected.append(h)
    torch.testing.assert_close(linear_recurrence(decay, source), torch.stack(expected, 2), rtol=1e-12, atol=1e-12)


def test_a_later_place_does_not_change_an_earlier_one() -> None:
    inputs = [x.detach() for x in scan_inputs(22, 4)]
    before = selective_scan(*inputs)
    inputs[0] = inputs[0].clone()
    inputs[0][:, :, 15] += 1
    after = selective_scan(*inputs)
    torch.testing.assert_close(after[:, :, :15], before[:, :, :15])
    assert (after[:, :, 15] - before[:, :, 15]).abs().min() > 0


def test_on_a_cpu_the_associative_scan_is_chosen_and_says_why() -> None:
    choice = choose_scan(torch.device("cpu"))
    assert choice.kernel == "associative"
    assert "CUDA" in choice.reason


def test_on_cuda_the_choice_depends_on_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[str] = []
    monkeypatch.setattr(
        "hamba_core.network.state_space.scan.find_spec", lambda name: name if name in installed else None
    )
    without = choose_scan(torch.device("cuda"))
    installed.append("mamba_ssm")
    with_package = choose_scan(torch.device("cuda"))
    installed.append("triton")
    with_both = choose_scan(torch.device("cuda"))
    assert (without.kernel, with_package.kernel, with_both.kernel) == ("associative", "mamba-ssm", "triton")
    assert "hamba-stream[cuda]" in without.reason
    assert choose_scan(torch.device("cuda"), "reference") == ("reference", "configured")


def test_a_kernel_that_cannot_run_is_refused_with_the_way_to_get_it() -> None:
    with pytest.raises(DependencyError, match=r"hamba-stream\[cuda\]"):
        choose_scan(torch.device("cpu"), "mamba-ssm")
