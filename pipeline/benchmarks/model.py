"""How fast the network runs and loads, each beside the plain way, in one run.

The plain way is torch's own float32 layers with the scan's sequential reference, and the checkpoint as it comes. The
other is what a run uses by default: the precision that suits the processor, packed weights, the default scan, and the
converted file. Every measurement of loading has a process of its own; the two networks run in turns in one, so that
whatever else the machine does touches both. Weights are the user's, or random ones of the released size; the hand
model is the generic one: neither changes what is measured.
"""

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from hamba_core.errors import PipelineError

if TYPE_CHECKING:
    from hamba_core.network import Hamba

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class ModelBenchmark:
    """Times are medians over the rounds, s a hand; ratios are medians of the rounds' own ratios."""

    speedup_over_reference: float
    load_speedup: float
    """Until the network can be called; see `first_hand_s`."""
    peak_memory_over_weights: float
    """Memory that loading the converted file and running one hand add to a process, over the bytes of the weights."""
    reference_s: float
    default_s: float
    checkpoint_load_s: float
    converted_load_s: float
    first_hand_s: float
    """The first hand after loading the converted file: its weights are read and packed then."""
    peak_memory_mib: float
    weights_mib: float
    precision: str
    precision_reason: str
    packed: bool
    scan: str
    threads: int
    rounds: int
    weights: str


class _Probe(NamedTuple):
    """One loading in a fresh process."""

    seconds: float
    first_hand_s: float
    peak_bytes: int  # of memory added by loading and one forward pass
    weights_bytes: int


class _Setup(NamedTuple):
    """How a process runs its network."""

    precision: str
    reason: str
    packed: bool
    scan: str
    threads: int


def measure_model(
    release: Path | None = None, *, rounds: int = 5, on_step: Callable[[str], None] = lambda step: None
) -> ModelBenchmark:
    """Measure on this machine's CPU. `release` is a folder or checkpoint; without it, random weights are made.

    Needs up to 8 GB of disk in the folder for temporary files, and 5 GB of memory, at the released size. `on_step` is
    told what is done next. Raises what loading raises.
    """
    from hamba_core.conversion import convert_release
    from hamba_core.generic_hand import load_generic_hand
    from hamba_core.random_release import write_random_release

    with TemporaryDirectory(prefix="hamba-bench-") as name:
        folder = Path(name)
        if release is None:
            on_step("making random weights of the released size")
            checkpoint = write_random_release(folder / "release")
        else:
            checkpoint = release
        on_step("converting the checkpoint")
        converted = convert_release(checkpoint, folder / "hamba.safetensors", mano=load_generic_hand()).path
        loads: dict[Path, list[_Probe]] = {checkpoint: [], converted: []}
        for number in range(rounds + 1):
            for path, probes in loads.items():
                on_step(f"loading the {'checkpoint' if path == checkpoint else 'converted file'}, {number} of {rounds}")
                probes.append(_in_fresh_process(_probe, path))
        on_step("running both networks in turns")
        reference, default, setup = _run_in_turns(converted, rounds)
    # The first round brings the files into memory and does not count.
    slow, fast = (probes[1:] for probes in loads.values())
    return ModelBenchmark(
        speedup_over_reference=median(r / d for r, d in zip(reference, default, strict=True)),
        load_speedup=median(s.seconds / f.seconds for s, f in zip(slow, fast, strict=True)),
        peak_memory_over_weights=max(probe.peak_bytes / probe.weights_bytes for probe in fast),
        reference_s=median(reference),
        default_s=median(default),
        checkpoint_load_s=median(probe.seconds for probe in slow),
        converted_load_s=median(probe.seconds for probe in fast),
        first_hand_s=median(probe.first_hand_s for probe in fast),
        peak_memory_mib=max(probe.peak_bytes for probe in fast) / 2**20,
        weights_mib=fast[0].weights_bytes / 2**20,
        precision=setup.precision,
        precision_reason=setup.reason,
        packed=setup.packed,
        scan=setup.scan,
        threads=setup.threads,
        rounds=rounds,
        weights="random, of the released size" if release is None else str(release),
    )


def _in_fresh_process(work: Callable[..., Answer], *arguments: object) -> Answer:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _probe(path: Path) -> _Probe:
    """Load as a run does, and run one hand."""
    import torch

    from hamba_core.generic_hand import load_generic_hand
    from hamba_core.hand_layer import HandLayer
    from hamba_core.loading import load, tensor_dtypes, weights_of
    from hamba_core.memory import keep_freed_memory
    from hamba_core.network import Hamba
    from hamba_core.packing import choose_packing
    from hamba_core.precision import choose_precision

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
    with torch.inference_mode():
        network(torch.zeros(1, 3, 256, 256))
    first_hand = time.perf_counter() - begin - seconds
    added = _memory("VmHWM") - before
    with torch.device("meta"):
        plain = Hamba(network.configuration, hand)
    dtypes = tensor_dtypes(plain, dtype)
    size = sum(tensor.numel() * dtypes[name].itemsize for name, tensor in weights_of(plain).items())
    return _Probe(seconds, first_hand, added, size)


def _run_in_turns(path: Path, rounds: int) -> tuple[list[float], list[float], _Setup]:
    """Seconds of one hand, plain and default, after a round of warming up. Each network has a process of its own."""
    spawn = get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=spawn, initializer=_prepare, initargs=(path, True)) as plain,
        ProcessPoolExecutor(1, mp_context=spawn, initializer=_prepare, initargs=(path, False)) as default,
    ):
        times = [[pool.submit(_run_one_hand).result() for pool in (plain, default)] for _ in range(rounds + 1)]
        setup = default.submit(_setup).result()
    reference_s, default_s = ([float(of_round[i]) for of_round in times[1:]] for i in range(2))
    return reference_s, default_s, setup


_prepared: "list[tuple[Hamba, _Setup]]" = []  # a worker process's network


def _prepare(path: Path, plain: bool) -> None:
    import torch

    from hamba_core.generic_hand import load_generic_hand
    from hamba_core.loading import load
    from hamba_core.memory import keep_freed_memory
    from hamba_core.packing import choose_packing
    from hamba_core.precision import PrecisionChoice, choose_precision

    if plain:
        precision, packed = PrecisionChoice(torch.float32, "the reference"), False
    else:
        precision = choose_precision(torch.device("cpu"))
        packed = choose_packing(torch.device("cpu"), precision.dtype).packed
        keep_freed_memory()
    network = load(path, load_generic_hand(), dtype=precision.dtype, packed=packed)
    scan = network.use_scan("reference" if plain else None)
    name = str(precision.dtype).removeprefix("torch.")
    _prepared.append((network, _Setup(name, precision.reason, packed, scan.kernel, torch.get_num_threads())))


def _setup() -> _Setup:
    return _prepared[0][1]


def _run_one_hand() -> float:
    import torch

    crop = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        begin = time.perf_counter()
        _prepared[0][0](crop)
        return time.perf_counter() - begin


def _forget_memory_peak() -> None:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _memory(key: str) -> int:
    """Bytes, from Linux's account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return int(value.split()[0]) * 1024
    raise PipelineError(f"/proc/self/status: expected a line {key}, found none; this benchmark runs on Linux")
