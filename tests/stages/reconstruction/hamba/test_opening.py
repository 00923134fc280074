"""Settings of the network, and which devices they mean."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from hamba_core.errors import DeviceError
from stages.reconstruction.hamba import HambaEstimator, NetworkSettings
from stages.reconstruction.hamba.opening import _choose_devices, _sizes_up_to


def gpus(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """As on a machine with so many."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)


@pytest.mark.parametrize("device", ["auto", "all", "cpu", "cuda", "cuda:0", "cuda:1,cuda:0"])
def test_devices_can_be_named_in_these_ways(device: str) -> None:
    assert NetworkSettings(device=device).device == device


@pytest.mark.parametrize("device", ["", "gpu", "cpu,cuda:0", "cuda:", "cuda:0,", "cuda,cuda", "mps", "cuda:0 "])
def test_other_names_are_refused_with_what_is_meant(device: str) -> None:
    with pytest.raises(ValidationError, match=r"auto, cpu, cuda, cuda:1.*cuda:0,cuda:1.*all"):
        NetworkSettings(device=device)


@pytest.mark.parametrize(
    ("wanted", "count", "chosen"),
    [
        ("auto", 0, ["cpu"]),
        ("auto", 2, ["cuda:0"]),
        ("cpu", 2, ["cpu"]),
        ("cuda", 2, ["cuda:0"]),
        ("all", 3, ["cuda:0", "cuda:1", "cuda:2"]),
        ("cuda:2,cuda:0", 3, ["cuda:2", "cuda:0"]),
    ],
)
def test_they_mean_these_devices(monkeypatch: pytest.MonkeyPatch, wanted: str, count: int, chosen: list[str]) -> None:
    gpus(monkeypatch, count)
    devices, reason = _choose_devices(wanted)
    assert [str(device) for device in devices] == chosen
    assert reason


@pytest.mark.parametrize(
    ("wanted", "count", "message"),
    [
        ("cuda", 0, "device cuda: expected a GPU that torch can use, found none"),
        ("all", 0, "device cuda: expected a GPU that torch can use, found none"),
        ("cuda:2", 2, "device cuda:2: expected one of cuda:0 to cuda:1, found no such GPU"),
    ],
)
def test_a_device_that_is_not_there_is_an_error_that_names_it(
    monkeypatch: pytest.MonkeyPatch, wanted: str, count: int, message: str
) -> None:
    gpus(monkeypatch, count)
    with pytest.raises(DeviceError, match=message):
        _choose_devices(wanted)


@pytest.mark.parametrize(
    ("hands", "sizes"), [(1, (1,)), (2, (1, 2)), (3, (1, 2, 4)), (16, (1, 2, 4, 8, 16)), (99, (1, 2, 4, 8, 16, 32))]
)
def test_batches_are_as_large_as_the_hands_of_a_frame_need(hands: int, sizes: tuple[int, ...]) -> None:
    assert _sizes_up_to(hands) == sizes


def test_the_network_takes_as_many_threads_as_are_set(tiny_release: Path) -> None:
    before = torch.get_num_threads()
    try:
        estimator = HambaEstimator(tiny_release, settings=NetworkSettings(device="cpu", threads=before + 1))
        estimator.open()
        device = next(choice for choice in estimator.choices() if choice.subject == "device")
        estimator.close()
        assert device.chosen == f"cpu ({before + 1} threads)"
    finally:
        torch.set_num_threads(before)


def test_what_takes_time_is_told(tiny_release: Path) -> None:
    steps: list[str] = []
    estimator = HambaEstimator(tiny_release, on_step=steps.append)
    estimator.open()
    estimator.close()
    assert steps[0].startswith("loading the network onto ")
