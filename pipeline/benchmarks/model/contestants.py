"""The contestants are the ways to run the network, each in a process of its own, on the same pictures.

`reference` is torch's own float32 layers with the sequential scan, one call after the other; `eager` is the same with
the associative scan; `default` is what a run does: the device's precision, packed and folded weights, its scan, and on
CUDA pinned buffers, three streams and graphs. Each takes pictures from the host's memory to rows of meshes in it.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from hamba_core.hand import load_generic_hand
from hamba_core.network import Hamba, choose_packing, choose_precision, crop_precision, keep_freed_memory
from hamba_core.view import Square, cut_batch, cut_places
from hamba_core.weights import load
from stages.reconstruction.hamba import (
    Cpu,
    Crop,
    Cuda,
    Device,
    DeviceEngine,
    Slot,
    Work,
    fuse,
    row_width,
    write_rows,
)

Way = Literal["reference", "eager", "default"]
WAYS: tuple[Way, ...] = ("reference", "eager", "default")

PICTURE = (480, 640, 3)
_SQUARES = ((Square(200, 240, 300), False), (Square(440, 220, 280), True))


class Setup(NamedTuple):
    """The setup says how a process runs its network."""

    precision: str
    precision_reason: str
    packed: bool
    packed_reason: str
    scan: str
    scan_reason: str
    fused: str
    fused_reason: str
    device: str
    threads: int


@dataclass
class Contestant:
    """One network and what it runs on."""

    network: Hamba
    device: Device
    crop_dtype: torch.dtype
    fused_crops: bool
    engine: DeviceEngine | None  # where several batches can be under way
    setup: Setup
    batches: "dict[int, Work]"


_prepared: list[Contestant] = []  # a worker process's only one


def prepare(path: Path, way: Way, device: torch.device, sizes: tuple[int, ...]) -> None:
    """Load the network in this process."""
    hand, cuda = load_generic_hand(), device.type == "cuda"
    runs_on = Cuda(device, spin=True) if cuda else Cpu()
    if way == "default":
        keep_freed_memory()
        precision = choose_precision(device)
        packing = choose_packing(device, precision.dtype)
        network = load(path, hand, device, precision.dtype, packed=packing.packed)
        scan, crop_dtype = network.use_scan(inference=True), crop_precision(precision.dtype)
        fusions, why = fuse(network, runs_on, crop_dtype) if isinstance(runs_on, Cuda) else network.fuse()
        names = ", ".join(fusions.names()) or "none"
        setup = Setup(
            _name(precision.dtype), precision.reason, *packing, *scan, names, why, _device_name(device), _threads()
        )
    else:
        network = load(path, hand, device, folded=False)
        scan = network.use_scan("reference" if way == "reference" else "associative")
        fusions, crop_dtype = network.fusion.fusions, torch.float32
        setup = Setup("float32", way, False, way, *scan, "none", way, _device_name(device), _threads())
    if cuda:
        torch.cuda.synchronize(device)
    contestant = Contestant(network, runs_on, crop_dtype, fusions.crops, None, setup, {})
    for size in sizes:
        contestant.batches[size] = _pinned(contestant, size) if way == "default" else _plain(network, device, size)
    if way == "default" and cuda:
        contestant.engine = DeviceEngine(
            network, runs_on, sizes, slots=2, crop_dtype=crop_dtype, fused_crops=fusions.crops
        )
        contestant.engine.open()
    _prepared[:] = [contestant]


def setup_of_worker() -> Setup:
    """Return how this process runs its network."""
    return _prepared[0].setup


def latencies(size: int, seconds: float) -> list[float]:
    """Return the seconds of batches of so many hands, run one by one for about as long as asked; at least one."""
    run = _prepared[0].batches[size]
    times: list[float] = []
    with torch.inference_mode():
        while not times or sum(times) < seconds:
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
    return times


def hands_per_s(size: int, seconds: float) -> float | None:
    """Return hands/s with as many batches under way as the engine takes; None where there is no such engine."""
    engine = _prepared[0].engine
    if engine is None:
        return None
    crops, under_way, hands = hands_to_see(size), deque([engine.begin(hands_to_see(size))]), 0
    begin = time.perf_counter()
    while under_way:
        if len(under_way) < engine.in_flight and time.perf_counter() - begin < seconds:
            under_way.append(engine.begin(crops))
        else:
            hands += len(under_way.popleft()())
    return hands / (time.perf_counter() - begin)


def write_trace(size: int, path: Path) -> None:
    """Write a trace of a dozen batches of so many hands, in Chrome's format, which Perfetto opens."""
    from torch.profiler import ProfilerActivity, profile

    contestant = _prepared[0]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if torch.cuda.is_available() else [])]
    run: Callable[[], Any] = partial(hands_per_s, size, 0.05) if contestant.engine else contestant.batches[size]
    with torch.inference_mode():
        run()
        with profile(activities=activities) as profiled:
            run()
    profiled.export_chrome_trace(str(path))


def prepared() -> Contestant:
    """Return what `prepare` loaded in this process."""
    return _prepared[0]


def hands_to_see(count: int) -> list[Crop]:
    """Return so many crops: a left and a right hand of each picture, of noise."""
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, PICTURE, np.uint8) for _ in range((count + 1) // 2)]
    return [Crop(pictures[number // 2], *_SQUARES[number % 2]) for number in range(count)]


def filled_slot(contestant: Contestant, size: int) -> tuple[Slot, Work, Work]:
    """Return a slot with a batch in it, and what cuts its crops and takes them through the network."""
    device, network = contestant.device, contestant.network
    slot = Slot(device, size, row_width(len(network.hand.v_template)))
    pictures = slot.fill(device, hands_to_see(size))
    normalisation = network.configuration.mean, network.configuration.std
    mean, std = (torch.tensor(values, device=device.torch_device) for values in normalisation)

    def cut() -> None:
        given = slot.pictures.device, slot.places.device, mean, std, slot.crops, contestant.crop_dtype
        cut_places(*given, fused=contestant.fused_crops)

    def run() -> None:
        write_rows(network(slot.crops), slot.rows.device)

    device.run("upload", partial(slot.upload, pictures, size)).synchronize()
    return slot, cut, run


def _pinned(contestant: Contestant, size: int) -> Work:
    """Turn pictures in pinned memory into rows in pinned memory, as the engine does, and wait for them."""
    device = contestant.device
    with torch.inference_mode():
        slot, cut, run = filled_slot(contestant, size)
        cut, run = device.capture(cut), device.capture(run)
    pictures = len(slot.pictures.host)

    def compute() -> None:
        cut()
        run()

    def batch() -> None:
        uploaded = device.run("upload", partial(slot.upload, pictures, size))
        computed = device.run("compute", compute, uploaded)
        device.run("read-back", partial(slot.rows.read_back, size), computed).synchronize()

    return batch


def _plain(network: Hamba, device: torch.device, size: int) -> Work:
    """Turn pictures into rows as a plain program would."""
    slot = Slot(Cpu(), size, 1)
    slot.fill(Cpu(), hands_to_see(size))
    pictures, places = slot.pictures.host, slot.places.host
    mean, std = (torch.tensor(v, device=device) for v in (network.configuration.mean, network.configuration.std))
    width = row_width(len(network.hand.v_template))

    def batch() -> None:
        squares, mirrored, which = (part.to(device) for part in (places[:, :3], places[:, 3] > 0, places[:, 4].long()))
        rows = torch.empty(size, width, device=device)
        write_rows(network(cut_batch(pictures.to(device), squares, mirrored, which, mean, std)), rows)
        rows.cpu()

    return batch


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _threads() -> int:
    return torch.get_num_threads()
