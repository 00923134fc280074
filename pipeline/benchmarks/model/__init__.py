"""This benchmark tells how fast the network runs and loads, each beside the plain way, in one run.

Every way to run it has a process of its own, and they run in turns, so that other work on the machine slows all alike.
Weights are the user's, or random ones of the released size; the hand model is the generic one: neither changes what is
measured. Loading is measured on the CPU, where it happens.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.benchmarks.model.contestants import Way
    from pipeline.benchmarks.model.floor import Floor

CPU_BATCHES = (1, 2, 4)
CUDA_BATCHES = (1, 2, 4, 8, 16, 32)

_SECONDS = 0.5
"""Of a batch size's turn on a GPU. On a CPU one batch is a turn."""


@dataclass(frozen=True)
class BatchSpeed:
    """The speed of a batch of some hands, run one way. Times are ms, from pictures to meshes in the host's memory."""

    hands: int
    way: str
    p50_ms: float
    p99_ms: float
    hands_per_s: float
    """With several batches under way where that is how it runs, else by `p50_ms`."""
    floor_ms: float
    over_floor: float  # p50 over it
    runs: int


@dataclass(frozen=True)
class ModelBenchmark:
    """Times are medians over the rounds, s a hand; ratios are medians of the rounds' own ratios."""

    speedup_over_reference: float
    """One hand, the default way over the reference."""
    throughput_over_eager: float
    """Most hands/s of any batch, the default way over plain float32 layers with the associative scan."""
    load_speedup: float
    """Until the network can be called; see `first_hand_s`."""
    loading_memory_over_weights: float
    """The most memory that loading the converted file adds to a process, over the bytes of the weights."""
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
    device: str
    precision: str
    precision_reason: str
    packed: bool
    packed_reason: str
    scan: str
    scan_reason: str
    fused: str
    fused_reason: str
    threads: int
    rounds: int
    weights: str
    copy_gb_per_s: float
    matrix_tflop_per_s: float
    network_weights_gb: float
    network_gflop_per_hand: float
    breakdown_hands: int
    breakdown_ms: dict[str, float]
    batches: list[BatchSpeed]


def measure_model(
    release: Path | None = None,
    *,
    device: str = "auto",
    batches: tuple[int, ...] | None = None,
    rounds: int = 5,
    trace: Path | None = None,
    on_step: Callable[[str], None] = lambda step: None,
) -> ModelBenchmark:
    """Measure on this machine. `release` is a folder or checkpoint; without it, random weights are made.

    `batches` are sizes to measure, besides 1. `trace` is a file to write a trace of the default way to. Needs up to 8
    GB of disk in the folder for temporary files, and 6 GB of memory, at the released size. `on_step` is told what is
    done next. Raises what loading raises.
    """
    import torch

    from hamba_core.weights import checked_device, open_weights
    from pipeline.benchmarks.model import breakdown, contestants
    from pipeline.benchmarks.model.floor import measure_floor
    from pipeline.benchmarks.model.loading import measure_loading
    from pipeline.benchmarks.model.workers import worker

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    on = checked_device("cuda:0" if device == "cuda" else device)
    cuda = on.type == "cuda"
    sizes = tuple(sorted({1, *(batches or (CUDA_BATCHES if cuda else CPU_BATCHES))}))
    shown = max(size for size in sizes if size <= 2)  # hands of a frame
    with TemporaryDirectory(prefix="hamba-bench-") as name, ExitStack() as workers:
        checkpoint, converted = _prepared_weights(release, Path(name), on_step)
        slow, fast = measure_loading((checkpoint, converted), rounds, on_step)
        on_step("making the ways to run it ready")
        pools = {
            way: workers.enter_context(worker(contestants.prepare, converted, way, on, sizes))
            for way in contestants.WAYS
        }
        setup = pools["default"].submit(contestants.setup_of_worker).result()
        floor = measure_floor(open_weights(converted).configuration, on, getattr(torch, setup.precision))
        seconds = _SECONDS if cuda else 0.0
        times, rates = _in_turns(pools, sizes, rounds, seconds, on_step)
        on_step("measuring the parts")
        parts = pools["default"].submit(breakdown.measure_parts, shown, rounds).result()
        if trace is not None:
            on_step(f"writing {trace}")
            pools["default"].submit(contestants.write_trace, shown, trace.absolute()).result()
    speeds = [
        _speed(way, size, of_batch[1:], rates[size][1:] if way == "default" else [], floor)
        for (way, size), of_batch in sorted(times.items(), key=lambda item: item[0][1])
    ]
    most = {way: max(speed.hands_per_s for speed in speeds if speed.way == way) for way in contestants.WAYS}
    reference, default = ([median(runs) for runs in times[way, 1][1:]] for way in ("reference", "default"))
    return ModelBenchmark(
        speedup_over_reference=median(r / d for r, d in zip(reference, default, strict=True)),
        throughput_over_eager=most["default"] / most["eager"],
        load_speedup=median(s.seconds / f.seconds for s, f in zip(slow, fast, strict=True)),
        loading_memory_over_weights=max(probe.loaded_bytes / probe.weights_bytes for probe in fast),
        peak_memory_over_weights=max(probe.peak_bytes / probe.weights_bytes for probe in fast),
        reference_s=median(reference),
        default_s=median(default),
        checkpoint_load_s=median(probe.seconds for probe in slow),
        converted_load_s=median(probe.seconds for probe in fast),
        first_hand_s=median(probe.first_hand_s for probe in fast),
        peak_memory_mib=max(probe.peak_bytes for probe in fast) / 2**20,
        weights_mib=fast[0].weights_bytes / 2**20,
        **setup._asdict(),
        rounds=rounds,
        weights="random, of the released size" if release is None else str(release),
        copy_gb_per_s=floor.copied_bytes_per_s / 1e9,
        matrix_tflop_per_s=floor.flop_per_s / 1e12,
        network_weights_gb=floor.weights_bytes / 1e9,
        network_gflop_per_hand=floor.flop_per_hand / 1e9,
        breakdown_hands=shown,
        breakdown_ms={name: 1e3 * value for name, value in parts.items()},
        batches=speeds,
    )


def _prepared_weights(release: Path | None, folder: Path, on_step: Callable[[str], None]) -> tuple[Path, Path]:
    """Return a checkpoint, made in this folder if none is given, and the file that it is converted to."""
    from hamba_core.hand import load_generic_hand
    from hamba_core.weights import convert_release, write_random_release
    from pipeline.benchmarks.model.workers import worker

    with worker() as maker:  # its memory goes with it
        if release is None:
            on_step("making random weights of the released size")
        checkpoint = release or maker.submit(write_random_release, folder / "release").result()
        on_step("converting the checkpoint")
        converting = maker.submit(convert_release, checkpoint, folder / "hamba.safetensors", load_generic_hand())
        return checkpoint, converting.result().path


def _in_turns(
    pools: Mapping["Way", Executor],
    sizes: Sequence[int],
    rounds: int,
    seconds: float,
    on_step: Callable[[str], None],
) -> tuple[dict[tuple["Way", int], list[list[float]]], dict[int, list[float]]]:
    """Return latencies (s) by way and size, and the default way's rates (hands/s) by size, a list for each round.

    The first round, one more than `rounds`, warms up.
    """
    from pipeline.benchmarks.model import contestants

    times: dict[tuple[Way, int], list[list[float]]] = {(way, size): [] for way in pools for size in sizes}
    rates: dict[int, list[float]] = {size: [] for size in sizes}
    for number in range(rounds + 1):
        for size in sizes:
            on_step(f"batches of {size}, {number} of {rounds}")
            for way, pool in pools.items():
                times[way, size].append(pool.submit(contestants.latencies, size, seconds).result())
            if rate := pools["default"].submit(contestants.hands_per_s, size, seconds).result():
                rates[size].append(rate)
    return times, rates


def _speed(way: str, hands: int, rounds: list[list[float]], rates: list[float], floor: "Floor") -> BatchSpeed:
    runs = sorted(seconds for of_round in rounds for seconds in of_round)
    p50, p99 = median(runs), runs[min(int(0.99 * len(runs)), len(runs) - 1)]
    least = floor.seconds(hands)
    return BatchSpeed(
        hands=hands,
        way=way,
        p50_ms=1e3 * p50,
        p99_ms=1e3 * p99,
        hands_per_s=median(rates) if rates else hands / p50,
        floor_ms=1e3 * least,
        over_floor=p50 / least,
        runs=len(runs),
    )
