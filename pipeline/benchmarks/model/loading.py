"""This benchmark tells how fast weights load, from the released checkpoint and from the converted file.

Each way has a process of its own.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from hamba_core.errors import PipelineError
from pipeline.benchmarks.model.workers import worker


class Probe(NamedTuple):
    """A probe is one loading in a fresh process."""

    seconds: float
    first_hand_s: float
    loaded_bytes: int  # the most memory that loading alone added
    peak_bytes: int  # of memory added by loading and one forward pass
    weights_bytes: int


def measure_loading(
    paths: tuple[Path, ...], rounds: int, on_step: Callable[[str], None] = lambda step: None
) -> list[list[Probe]]:
    """Load each file on the CPU in turns; a first round, which brings the files into memory, does not count."""
    probes: list[list[Probe]] = [[] for _ in paths]
    for number in range(rounds + 1):
        for path, of_path in zip(paths, probes, strict=True):
            on_step(f"loading {path.name}, {number} of {rounds}")
            with worker() as pool:
                of_path.append(pool.submit(_probe, path).result())
    return [of_path[1:] for of_path in probes]


def _probe(path: Path) -> Probe:
    """Load as a run does, and run one hand."""
    import torch

    from hamba_core.hand import HandLayer, load_generic_hand
    from hamba_core.network import Hamba, choose_packing, choose_precision, keep_freed_memory
    from hamba_core.weights import load, tensor_dtypes, weights_of

    cpu = torch.device("cpu")
    dtype = choose_precision(cpu).dtype
    packed = choose_packing(cpu, dtype).packed
    hand = load_generic_hand()
    HandLayer(hand)  # what it imports is not what is measured
    keep_freed_memory()
    _forget_memory_peak()
    before = _memory("VmRSS")
    begin = time.perf_counter()
    network = load(path, hand, dtype=dtype, packed=packed)
    seconds = time.perf_counter() - begin
    loaded = _memory("VmHWM") - before
    with torch.inference_mode():
        network(torch.zeros(1, 3, 256, 256))
    first_hand = time.perf_counter() - begin - seconds
    added = _memory("VmHWM") - before
    with torch.device("meta"):
        plain = Hamba(network.configuration, hand)
    dtypes = tensor_dtypes(plain, dtype)
    size = sum(tensor.numel() * dtypes[name].itemsize for name, tensor in weights_of(plain).items())
    return Probe(seconds, first_hand, loaded, added, size)


def _forget_memory_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(key: str) -> int:
    """Return bytes of memory, from Linux's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise PipelineError(f"/proc/self/status: expected a line {key}, found none; this benchmark runs on Linux")
