"""This module makes the network that settings ask for ready on its devices."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch

from hamba_core.errors import DeviceError
from hamba_core.hand import HandModel
from hamba_core.network import PrecisionChoice, choose_packing, choose_precision, crop_precision, keep_freed_memory
from hamba_core.weights import checked_device, load
from stages.packets import Choice
from stages.reconstruction.hamba.engine import Cpu, Cuda, DeviceEngine, Engine, Replicas
from stages.reconstruction.hamba.fusing import as_choice, fuse
from stages.reconstruction.hamba.settings import NetworkSettings

_CPU_SIZES: Final = tuple(range(1, 9))
"""A processor gains nothing from a batch that is filled up, and little from a larger one."""

_CUDA_SIZES: Final = (1, 2, 4, 8, 16, 32)
_CUDA_SLOTS: Final = 2
"""One batch in the network while the next is uploaded and the one before is read back and made hands of."""

_FRAMES: Final = {"cpu": 4, "cuda": 16}
"""Frames that are begun at once: two hands in each fill a batch."""


@dataclass(frozen=True, eq=False)
class Model:
    """A network on its devices, as an estimator uses it."""

    engine: Engine
    frames: int  # that it gains from at once
    choices: tuple[Choice, ...]  # made while it was opened


def open_model(
    checkpoint: Path,
    hand_model: HandModel | Path | None,
    settings: NetworkSettings,
    *,
    live_hands: int | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> Model:
    """Load the network onto the devices that settings name, and run it once on each.

    `hand_model` is the user's MANO hand or its file; without it, the one in the weights or beside them.
    `live_hands`: each frame is waited for, and has so many hands at most; without it, what counts is hands/s.
    `on_step` is told of what takes time. Raises WeightsError, HandModelError, ConfigurationError, DeviceError,
    DependencyError.
    """
    devices, reason = _choose_devices(settings.device)
    kind = devices[0].type
    if kind == "cpu":
        keep_freed_memory()
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
    precision = _choose_precision(settings, devices)
    packing = choose_packing(devices[0], precision.dtype)
    engines: list[DeviceEngine] = []
    fused: list[Choice] = []
    for device in devices:
        on_step(f"loading the network onto {device}")
        network = load(checkpoint, hand_model, device, precision.dtype, packed=packing.packed)
        scan = network.use_scan(None if settings.scan == "auto" else settings.scan, inference=True)
        if kind == "cpu":
            engine = DeviceEngine(network, Cpu(), _CPU_SIZES, slots=1)
        else:
            # Wait: weights were copied on the default stream, which is not one of the engine's.
            torch.cuda.synchronize(device)
            sizes = _sizes_up_to(live_hands or _CUDA_SIZES[-1])
            cuda = Cuda(device, spin=live_hands is not None)
            crop_dtype = crop_precision(precision.dtype)
            on_step(f"trying out fused kernels on {device}")
            fusion = fuse(network, cuda, crop_dtype, settings.unfused)
            fused = [as_choice(fusion, settings.unfused)]
            engine = DeviceEngine(
                network, cuda, sizes, _CUDA_SLOTS, crop_dtype,
                fused_crops=fusion.fusions.crops, together=live_hands is not None,
            )  # fmt: skip
        engine.open(on_step)
        engines.append(engine)
    choices = (
        Choice("weights", str(checkpoint), network.origin),
        Choice("device", ", ".join(_device_name(device) for device in devices), reason),
        Choice("precision", str(precision.dtype).removeprefix("torch."), precision.reason),
        Choice("scan kernel", scan.kernel, scan.reason),
        Choice("matrix kernels", "oneDNN" if packing.packed else "torch", packing.reason),
        *fused,
    )
    return Model(engines[0] if len(engines) == 1 else Replicas(engines), _FRAMES[kind], choices)


def _choose_devices(wanted: str) -> tuple[list[torch.device], str]:
    """Return the devices, all of one kind, and why these were chosen. Raises DeviceError."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        return [torch.device("cuda:0" if count else "cpu")], "torch finds a GPU" if count else "torch finds no GPU"
    if wanted == "all":
        checked_device("cuda")
        return [torch.device("cuda", number) for number in range(count)], f"reconstruct.device, {count} GPUs"
    devices = [checked_device("cuda:0" if name == "cuda" else name) for name in wanted.split(",")]
    for device in devices:
        if device.type == "cuda" and device.index >= count:
            raise DeviceError(
                f"device {device}: expected one of cuda:0 to cuda:{count - 1}, found no such GPU; name another in "
                "reconstruct.device"
            )
    return devices, "reconstruct.device"


def _choose_precision(settings: NetworkSettings, devices: list[torch.device]) -> PrecisionChoice:
    """Choose a precision that all devices have."""
    if settings.precision != "auto":
        return PrecisionChoice(getattr(torch, settings.precision), "reconstruct.precision")
    choices = [choose_precision(device) for device in devices]
    return next((choice for choice in choices if choice.dtype == torch.float32), choices[0])


def _sizes_up_to(hands: int) -> tuple[int, ...]:
    """Return the batch sizes that so many hands need."""
    enough = next((size for size in _CUDA_SIZES if size >= hands), _CUDA_SIZES[-1])
    return tuple(size for size in _CUDA_SIZES if size <= enough)


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({torch.get_num_threads()} threads)"
