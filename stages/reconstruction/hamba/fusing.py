"""Which fused kernels a network on CUDA runs with: those wanted that work there, those of the crops among them."""

import torch

from hamba_core.network import MEASURED, FusionChoice, Fusions, Hamba
from hamba_core.view import fault_of_fused_crops
from stages.packets import Choice
from stages.reconstruction.hamba.engine import Cuda


def fuse(network: Hamba, device: Cuda, crop_dtype: torch.dtype, unfused: str = "") -> FusionChoice:
    """Let the network run fused kernels, but for the `unfused` ones (names with commas, or all).

    `fusions.crops` of the answer says whether the crops' kernels work too. Raises ConfigurationError.
    """
    choice = network.fuse(wanted_fusions(unfused), device.seconds)
    if not choice.fusions.crops or (fault := fault_of_fused_crops(device.torch_device, crop_dtype)) is None:
        return choice
    return FusionChoice(choice.fusions.without(["crops"]), f"{choice.reason}; crops: {fault}")


def wanted_fusions(unfused: str) -> Fusions:
    """Return all fusions but the ones named. Raises ConfigurationError."""
    everything = Fusions()
    names = [name.strip() for name in unfused.split(",") if name.strip()]
    return everything.without(everything.names() if names == ["all"] else names)


def as_choice(choice: FusionChoice, unfused: str = "") -> Choice:
    """Return what the report says of it."""
    wanted, found = wanted_fusions(unfused).without(MEASURED), choice.fusions
    fallback = found.without(MEASURED) != wanted
    return Choice("fused kernels", ", ".join(found.names()) or "none", choice.reason, fallback=fallback)
