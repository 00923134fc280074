"""Fused kernels run where they work, each with a flag, and the report says why the others do not."""

from pathlib import Path
from typing import Any

import pytest
import torch

import hamba_core
from hamba_core.errors import ConfigurationError
from hamba_core.network import MEASURED, FusionChoice, Fusions, Hamba, fusion_names
from hamba_core.network.fused.fusions import NO_FUSIONS

pytest.importorskip("triton")

from hamba_core.network.fused import network as fused_network, sampling
from hamba_core.network.fused.trial import tried_fusions
from stages.reconstruction.hamba import NetworkSettings
from stages.reconstruction.hamba.fusing import as_choice, wanted_fusions

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def network(tiny_release: Path) -> Hamba:
    return hamba_core.load(tiny_release)


def test_each_flag_is_told_apart() -> None:
    assert set(NO_FUSIONS.names()) == set()
    assert set(Fusions().names()) == set(fusion_names())
    assert set(Fusions().without(["norms", "scans"]).names()) == set(Fusions().names()) - {"norms", "scans"}
    with pytest.raises(ConfigurationError, match=r"expected names among patches, norms.* found nroms"):
        Fusions().without(["nroms"])


def test_they_can_be_left_out_by_a_setting() -> None:
    assert wanted_fusions("") == Fusions()
    assert wanted_fusions("all") == NO_FUSIONS
    assert wanted_fusions("crops, gelu") == Fusions().without(["crops", "gelu"])


@pytest.mark.parametrize("unfused", ["nroms", "all,norms", "norms;gelu"])
def test_other_names_are_refused_before_anything_is_loaded(unfused: str) -> None:
    with pytest.raises(ValueError, match="expected all, or names among patches, norms"):
        NetworkSettings(unfused=unfused)
    assert NetworkSettings(unfused="norms, gelu").unfused == "norms, gelu"


def test_where_there_is_no_room_to_try_them_out_the_plain_network_goes_on(
    network: Hamba, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = network.fused_parts()

    def no_room(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(parts, "downsample", no_room)
    choice = tried_fusions(parts, Fusions(), device=CPU)
    assert choice.fusions == NO_FUSIONS
    assert "could not be tried out: CUDA out of memory" in choice.reason


def test_on_a_processor_none_run(network: Hamba) -> None:
    choice = network.fuse()
    assert choice == (NO_FUSIONS, "device cpu")
    assert network.fused is None
    report = as_choice(choice)
    assert (report.chosen, report.reason, report.fallback) == ("none", "device cpu", True)
    assert not as_choice(choice, "all").fallback


def test_a_network_that_is_not_folded_cannot_be_fused(tiny_release: Path) -> None:
    with pytest.raises(ConfigurationError, match="folded"):
        hamba_core.load(tiny_release, folded=False).fused_parts()


def test_kernels_that_fail_are_left_out_and_named(network: Hamba) -> None:
    choice = tried_fusions(network.fused_parts(), Fusions(), device=CPU)  # where nothing of CUDA's works
    assert {"norms", "scans", "hands", "graph"} & set(choice.fusions.names()) == set()
    assert "norms: it failed: " in choice.reason


def test_a_kernel_that_computes_something_else_is_left_out(network: Hamba, monkeypatch: pytest.MonkeyPatch) -> None:
    def off(*given: Any) -> tuple[torch.Tensor, ...]:
        tokens, global_token, mean = sampling.plain_tokens(*given)
        return 1.5 * tokens, global_token, mean

    monkeypatch.setattr(
        fused_network, "fused_sample", lambda features, joints, reach: sampling.plain_sample(features, joints)
    )
    monkeypatch.setattr(fused_network, "fused_tokens", off)
    wanted = NO_FUSIONS.without([]).__class__(**dict.fromkeys(fusion_names(), False) | {"sampling": True})
    choice = tried_fusions(network.fused_parts(), wanted, device=CPU)
    assert choice.fusions == NO_FUSIONS
    assert "sampling: it is off by" in choice.reason
    monkeypatch.setattr(fused_network, "fused_tokens", sampling.plain_tokens)
    assert tried_fusions(network.fused_parts(), wanted, device=CPU) == (
        wanted,
        "each gives what its plain reference gives",
    )


def test_forward_runs_what_was_fused(network: Hamba, monkeypatch: pytest.MonkeyPatch) -> None:
    fused = network.fused_parts()
    monkeypatch.setattr(network, "fused", fused)
    crops = torch.randn(1, 3, 256, 256)
    with torch.inference_mode():
        torch.testing.assert_close(network(crops).vertices, fused(crops).vertices, rtol=0, atol=0)


def named(*names: str) -> Fusions:
    return Fusions(**{name: name in names for name in fusion_names()})


def chosen_by_time(
    network: Hamba, monkeypatch: pytest.MonkeyPatch, ms: dict[tuple[str, ...], float | Exception] | None
) -> FusionChoice:
    """What is chosen of these, all of which work, where the network takes so many ms with each."""
    monkeypatch.setattr("hamba_core.network.fused.trial._fault", lambda *_: None)
    fused = network.fused_parts()

    def seconds(work: Any) -> float:
        found = (ms or {})[fused.fusions.without(["norms"]).names()]
        if isinstance(found, Exception):
            raise found
        return found / 1e3

    wanted = named("norms", *MEASURED)
    return tried_fusions(fused, wanted, device=CPU, seconds=None if ms is None else seconds)


def test_what_is_measured_stays_where_it_is_faster(network: Hamba, monkeypatch: pytest.MonkeyPatch) -> None:
    ms: dict[tuple[str, ...], float | Exception] = {
        (): 2.0,
        ("steps",): 1.9,
        ("steps", "split_products"): 1.95,
        ("steps", "early_starts"): 1.7,
    }
    choice = chosen_by_time(network, monkeypatch, ms)
    assert choice.fusions == named("norms", "steps", "early_starts")
    assert "steps: 1.900 ms, 2.000 without; split_products: 1.950 ms, 1.900 without" in choice.reason
    assert not as_choice(
        choice, "patches,residuals,gelu,convolutions,projections,scans,merging,graph,sampling,hands,crops"
    ).fallback


def test_what_gains_nothing_or_cannot_be_measured_is_left_out(network: Hamba, monkeypatch: pytest.MonkeyPatch) -> None:
    ms: dict[tuple[str, ...], float | Exception] = {
        (): 2.0,
        ("steps",): 1.999,
        ("split_products",): torch.AcceleratorError("CUDA error: operation not permitted when stream is capturing"),
        ("early_starts",): 2.5,
    }
    choice = chosen_by_time(network, monkeypatch, ms)
    assert choice.fusions == named("norms")
    assert "split_products: it could not be measured: CUDA error: operation not permitted" in choice.reason


def test_without_a_measure_they_are_left_out(network: Hamba, monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen_by_time(network, monkeypatch, None)
    assert choice.fusions == named("norms")
    assert choice.reason.endswith("steps, split_products, early_starts: not measured")
