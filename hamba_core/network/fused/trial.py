"""Fused kernels are tried out where they are to run, each alone, before any of them is used."""

from dataclasses import replace

import torch
from torch import Tensor

from hamba_core.errors import first_line
from hamba_core.network.configuration import CROP_SIZE
from hamba_core.network.fused.fusions import NO_FUSIONS, FusionChoice, Fusions
from hamba_core.network.fused.network import FusedNetwork
from hamba_core.network.output import HambaOutput

_TOLERANCES = {torch.float32: 1e-3, torch.bfloat16: 2e-2}
"""Largest difference of the answers, as a share of the largest number: a few times what rounding makes of noise."""

_ELSEWHERE = frozenset({"crops"})
"""What is no part of the network itself."""


@torch.inference_mode()
def tried_fusions(network: FusedNetwork, wanted: Fusions, *, device: torch.device) -> FusionChoice:
    """Return those of the wanted fusions that work on this device: each gives the answer that its reference gives.

    An error that means that the device is lost comes back with the next thing asked of it.
    """
    crops = torch.randn(2, 3, CROP_SIZE, CROP_SIZE, device=device)
    network.fusions = NO_FUSIONS
    try:
        expected = _numbers(network(crops))
    except RuntimeError as error:  # memory that is short, above all: the plain network may go on in smaller batches
        return FusionChoice(NO_FUSIONS, f"they could not be tried out: {first_line(error)}")
    faults: dict[str, str] = {}
    for name in wanted.names():
        if name not in _ELSEWHERE and (fault := _fault(network, replace(NO_FUSIONS, **{name: True}), crops, expected)):
            faults[name] = fault
    working = wanted.without(faults)
    if fault := _fault(network, working, crops, expected):
        return FusionChoice(NO_FUSIONS, f"together they fail: {fault}")
    reason = "; ".join(f"{name}: {fault}" for name, fault in faults.items())
    return FusionChoice(working, reason or "each gives what its plain reference gives")


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
