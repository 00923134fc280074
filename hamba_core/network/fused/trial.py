"""Fused kernels are tried out where they are to run, each alone, before any of them is used.

Some of them a GPU may gain from or lose: those are measured too.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from hamba_core.errors import first_line
from hamba_core.network.configuration import CROP_SIZE
from hamba_core.network.fused.fusions import MEASURED, NO_FUSIONS, FusionChoice, Fusions, fusion_names
from hamba_core.network.fused.network import FusedNetwork
from hamba_core.network.output import HambaOutput

_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 2e-2}
"""Largest difference of the answers, as a share of the largest number: a few times what rounding makes of noise."""

_ELSEWHERE = frozenset({"crops"})
"""What is no part of the network itself."""

_WITH = {"steps": ("scans",), "early_starts": ("norms", "patches")}
"""What a fusion changes is in the kernels of others: it is tried out with them."""

_FIRST_WITH_EARLY_STARTS = (9, 0)  # compute capability

_GAIN = 0.99
"""Of the time without: what is kept has to take less. Replays of a graph repeat to some thousandths."""

Seconds = Callable[[Callable[[], object]], float]
"""Measures work on the device as a run does it: captured, where it captures. Raises RuntimeError."""


@torch.inference_mode()
def tried_fusions(
    network: FusedNetwork, wanted: Fusions, *, device: torch.device, seconds: Seconds | None = None
) -> FusionChoice:
    """Return those of the wanted fusions that work on this device: each gives the answer that its reference gives.

    Of `MEASURED` those stay that make the network faster by `seconds`; without it, none. An error that means that the
    device is lost comes back with the next thing asked of it.
    """
    crops = torch.randn(2, 3, CROP_SIZE, CROP_SIZE, device=device)
    network.fusions = NO_FUSIONS
    try:
        expected = _numbers(network(crops))
    except RuntimeError as error:  # memory that is short, above all: the plain network may go on in smaller batches
        return FusionChoice(NO_FUSIONS, f"they could not be tried out: {first_line(error)}")
    faults: dict[str, str] = {}
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < _FIRST_WITH_EARLY_STARTS:
        wanted = wanted.without(["early_starts"])
    for name in wanted.names():
        if name not in _ELSEWHERE and (fault := _fault(network, _alone(name), crops, expected)):
            faults[name] = fault
    working = wanted.without(faults)
    certain = working.without(MEASURED)
    if fault := _fault(network, certain, crops, expected):
        return FusionChoice(NO_FUSIONS, f"together they fail: {fault}")
    chosen, told = _measured(network, certain, working, crops, expected, seconds)
    reason = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
    return FusionChoice(chosen, "; ".join([reason or "each gives what its plain reference gives", *told]))


def _alone(name: str) -> Fusions:
    on = (name, *_WITH.get(name, ()))
    return Fusions(**{each: each in on for each in fusion_names()})


def _measured(
    network: FusedNetwork,
    certain: Fusions,
    working: Fusions,
    crops: Tensor,
    expected: Tensor,
    seconds: Seconds | None,
) -> tuple[Fusions, list[str]]:
    """Return the certain fusions with those others that gain something, and what was found."""
    others = [name for name in working.names() if name in MEASURED]
    if seconds is None:
        return certain, [f"{', '.join(others)}: not measured"] if others else []
    chosen, told, least = certain, [], None
    for name in others:
        tried = replace(chosen, **{name: True})
        if fault := _fault(network, tried, crops, expected):
            told.append(f"{name}: with the others {fault}")
            continue
        try:
            if least is None:
                network.fusions = chosen
                least = seconds(lambda: network(crops))
            network.fusions = tried
            found = seconds(lambda: network(crops))
        except RuntimeError as error:
            told.append(f"{name}: it could not be measured: {first_line(error)}")
            continue
        told.append(f"{name}: {1e3 * found:.3f} ms, {1e3 * least:.3f} without")
        if found < _GAIN * least:
            chosen, least = tried, found
    return chosen, told


def _fault(network: FusedNetwork, fusions: Fusions, crops: Tensor, expected: Tensor) -> str | None:
    network.fusions = fusions
    try:
        error = float((_numbers(network(crops)) - expected).abs().max() / expected.abs().max())
    except Exception as failure:  # noqa: BLE001 - whatever a kernel, its compiler or a missing C compiler raises
        return f"it failed: {first_line(failure)}"
    tolerance = _TOLERANCES[network.backbone.dtype]
    return None if error < tolerance else f"it is off by {error:.1e} of the largest number"


def _numbers(output: HambaOutput) -> Tensor:
    """Return what an answer is judged by, each part as a share of its largest number: (B, n)."""
    first = output.initial
    parts = [output.vertices, output.joints_2d, output.hand_pose, output.camera]
    parts += [] if first is None else [first.joints, first.joints_2d]
    return torch.cat([part.flatten(1) for part in parts], 1)
