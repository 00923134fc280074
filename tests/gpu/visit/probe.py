"""Measure a GPU in one process: latency and rate of the default way, its kernels and parts, and single kernels.

    python probe.py WEIGHTS.safetensors OUT_FOLDER [--device cpu] [--sizes 1,2,4,8,16,32] [--seconds 0.5]

Whatever is measured is in OUT/probe.json at once. A section that fails leaves its error there, and the next goes on.
"""

import argparse
import gzip
import json
import signal
import statistics
import time
import traceback
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from pipeline.benchmarks.model import breakdown, contestants

parser = argparse.ArgumentParser()
parser.add_argument("weights", type=Path)
parser.add_argument("out", type=Path)
parser.add_argument("--device", default="cuda:0")
parser.add_argument("--sizes", default="1,2,4,8,16,32")
parser.add_argument("--seconds", type=float, default=0.5)
parser.add_argument("--deadline", type=float, default=1e9, help="seconds from now after which no section begins")
parser.add_argument("--only", default="", help="names of sections, with commas")
arguments = parser.parse_args()
arguments.out.mkdir(parents=True, exist_ok=True)
DEVICE = torch.device(arguments.device)
CUDA = DEVICE.type == "cuda"
SIZES = tuple(int(size) for size in arguments.sizes.split(","))
BEGAN = time.perf_counter()
results: dict[str, Any] = {"torch": torch.__version__, "device": torch.cuda.get_device_name(DEVICE) if CUDA else "cpu"}
wanted = set(filter(None, arguments.only.split(",")))


def save() -> None:
    (arguments.out / "probe.json").write_text(json.dumps(results, indent=1))


SECTION_S = 40 if CUDA else 300
"""The most that a section may take. What it has found by then is lost, but the next begins."""


def too_long(*_: object) -> None:
    raise TimeoutError(f"more than {SECTION_S} s")


def section(function: Callable[[], Any]) -> Callable[[], Any]:
    name = function.__name__
    if wanted and name not in wanted:
        return function
    if time.perf_counter() - BEGAN > arguments.deadline:
        results[name] = "left out: no time"
        return function
    begin = time.perf_counter()
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECTION_S)
    try:
        results[name] = function()
    except Exception as error:  # noqa: BLE001
        results[name] = {"error": f"{type(error).__name__}: {error}"[:600], "at": traceback.format_exc()[-1500:]}
    signal.alarm(0)
    results[f"{name}_s"] = round(time.perf_counter() - begin, 1)
    print(
        f"{name}: {results[f'{name}_s']} s",
        results[name].get("error", "") if isinstance(results[name], dict) else "",
        flush=True,
    )
    save()
    return function


def quantiles(times: list[float]) -> dict[str, float]:
    times = sorted(times)

    def at(share: float) -> float:
        return round(1e3 * times[min(int(share * len(times)), len(times) - 1)], 4)

    return {
        "p50_ms": at(0.5),
        "p90_ms": at(0.9),
        "p99_ms": at(0.99),
        "min_ms": at(0),
        "max_ms": at(1),
        "runs": len(times),
    }


def us(work: Callable[[], object], number: int = 1, replays: int = 20) -> float:
    """us of each of the `number` operations in `work`, from replays of a graph that holds it once; median."""
    with torch.inference_mode():
        if not CUDA:
            begin = time.perf_counter()
            work()
            return round(1e6 * (time.perf_counter() - begin) / number, 2)
        stream = torch.cuda.Stream(DEVICE)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            work()
            work()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            work()
        times: list[float] = []
        for _ in range(replays + 2):
            first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
            with torch.cuda.stream(stream):
                first.record()
                graph.replay()
                last.record()
            last.synchronize()
            times.append(1e3 * first.elapsed_time(last) / number)
        return round(statistics.median(times[2:]), 2)


def tried(work: Callable[[], Any]) -> Any:
    """A number, or why there is none."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001
        return f"{type(error).__name__}: {error}"[:200]


@section
def prepare() -> Any:
    begin = time.perf_counter()
    contestants.prepare(arguments.weights, "default", DEVICE, SIZES)
    contestant = contestants.prepared()
    return {
        "seconds": time.perf_counter() - begin,
        "setup": contestant.setup._asdict(),
        "choices": [str(choice) for choice in (contestant.engine.choices() if contestant.engine else ())],
        "memory_gb": torch.cuda.memory_reserved(DEVICE) / 1e9 if CUDA else None,
    }


@section
def latency() -> Any:
    found = {}
    for size in SIZES:
        contestants.latencies(size, 0.0)
        found[size] = quantiles([t for _ in range(3) for t in contestants.latencies(size, arguments.seconds / 3)])
    return found


@section
def rate() -> Any:
    return {size: contestants.hands_per_s(size, arguments.seconds) for size in SIZES}


@section
def parts() -> Any:
    return {
        size: {k: round(1e3 * v, 4) for k, v in breakdown.measure_parts(size, 3).items()}
        for size in SIZES
        if size in (1, 2, SIZES[-1])
    }


@section
def kernels() -> Any:
    """Kernels of a batch of two by name: how many, us each, us together; and the time between them."""
    from torch.profiler import ProfilerActivity, profile

    size = 2 if 2 in SIZES else SIZES[0]
    batch, runs = contestants.prepared().batches[size], 10
    with torch.inference_mode():
        batch()
        with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if CUDA else [])]) as profiled:
            for _ in range(runs):
                batch()
    path = arguments.out / "trace.json"
    profiled.export_chrome_trace(str(path))
    events = [e for e in json.loads(path.read_text())["traceEvents"] if e.get("ph") == "X"]
    with gzip.open(arguments.out / "trace.json.gz", "wb") as packed:
        packed.write(path.read_bytes())
    path.unlink()
    kinds = ("kernel", "gpu_memcpy", "gpu_memset") if CUDA else ("cpu_op",)
    events = sorted((e for e in events if e.get("cat") in kinds), key=lambda e: e["ts"])
    table: dict[str, list[float]] = defaultdict(lambda: [0, 0.0])
    for event in events:
        table[event["name"][:110]][0] += 1
        table[event["name"][:110]][1] += event["dur"]
    gaps = [b["ts"] - a["ts"] - a["dur"] for a, b in pairwise(events)]
    small = sorted(gap for gap in gaps if gap < 20)
    rows = sorted(((n / runs, t / n, t / runs, name) for name, (n, t) in table.items()), key=lambda row: -row[2])
    with (arguments.out / "kernels.txt").open("w") as file:
        for number, each, together, name in rows:
            file.write(f"{number:8.1f} x {each:8.2f} us = {together:9.1f} us  {name}\n")
    return {
        "of_batch": len(events) / runs,
        "busy_us": sum(e["dur"] for e in events) / runs,
        "median_gap_us": small[len(small) // 2] if small else None,
        "sum_of_gaps_us": sum(small) / runs,
        "top": [f"{n:.0f} x {e:.2f} us = {t:.0f} us {name}" for n, e, t, name in rows[:25]],
    }


@section
def fusions() -> Any:
    """us of the network by its fused kernels: all, each left out, as chosen, none, plain; crops both ways."""
    from hamba_core.hand import load_generic_hand
    from hamba_core.network import Fusions
    from hamba_core.network.fused.fusions import NO_FUSIONS
    from hamba_core.view import cut_places
    from hamba_core.weights import load

    contestant = contestants.prepared()
    dtype = contestant.crop_dtype
    network = contestant.network if CUDA else load(arguments.weights, load_generic_hand())  # not packed
    found: dict[Any, Any] = {"chosen": network.fusion.fusions.names(), "why": network.fusion.reason}
    with torch.inference_mode():
        fused, kept = network.fused or network.fused_parts(), network.fused
        before = fused.fusions
        for size in sorted({min(2, SIZES[-1]), SIZES[-1]}):
            crops = torch.randn(size, 3, 256, 256, device=DEVICE)
            of = found[size] = {}

            def measured(flags: Fusions) -> float:
                fused.fusions = flags
                return us(lambda: fused(crops))

            of["all"] = tried(lambda: measured(Fusions()))
            of["none, in the same flow"] = tried(lambda: measured(NO_FUSIONS))
            for name in Fusions().names():
                if name != "crops":
                    of[f"without {name}"] = tried(lambda: measured(Fusions().without([name])))
            of["as chosen"] = tried(lambda: measured(before))
            network.fused = None
            of["plain"] = tried(lambda: us(lambda: network(crops)))
            network.fused, fused.fusions = kept, before

            pictures = torch.zeros((size + 1) // 2, *contestants.PICTURE, dtype=torch.uint8, device=DEVICE)
            places = torch.tensor([[320.0, 240, 280, hand % 2, hand // 2] for hand in range(size)], device=DEVICE)
            mean, std = torch.zeros(3, device=DEVICE), torch.ones(3, device=DEVICE)
            for way in (False, True):
                of["crops, fused" if way else "crops, products"] = tried(
                    lambda: us(lambda: cut_places(pictures, places, mean, std, crops, dtype, fused=way))
                )
    return found


@section
def live() -> Any:
    """A frame that is waited for: three streams, or copies and work in one graph on one stream."""
    contestant = contestants.prepared()
    from stages.reconstruction.hamba import DeviceEngine

    hands = contestants.hands_to_see(min(2, SIZES[-1]))
    found = {}
    for together in (False, True):
        engine = DeviceEngine(
            contestant.network,
            contestant.device,
            (len(hands),),
            2,
            contestant.crop_dtype,
            fused_crops=contestant.fused_crops,
            together=together,
        )
        engine.open()
        times: list[float] = []
        while len(times) < 8 or sum(times) < arguments.seconds:
            begin = time.perf_counter()
            engine.begin(hands)()
            times.append(time.perf_counter() - begin)
        engine.close()
        found["one graph" if together else "three streams"] = quantiles(times[4:])
    return found


@section
def floors() -> Any:
    """A chain of the smallest kernels, copies, and an empty way through the three streams."""
    one = torch.zeros(1, device=DEVICE)
    million = torch.zeros(384, 1280, device=DEVICE)
    found: dict[str, Any] = {
        "tiny_kernel": us(lambda: [one.add_(1) for _ in range(500)], 500),
        "add_384x1280_f32": us(lambda: [million.add_(1) for _ in range(200)], 200),
    }
    if not CUDA:
        return found
    from stages.reconstruction.hamba import Cuda

    device = Cuda(DEVICE, spin=True)
    picture, rows = device.buffer((480, 640, 3), torch.uint8), device.buffer((2, 2554), torch.float32)

    def through(work: Callable[[], object]) -> list[float]:
        times = []
        for _ in range(300):
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
        return times[50:]

    def three_streams() -> None:
        uploaded = device.run("upload", partial(picture.upload, 480))
        computed = device.run("compute", lambda: None, uploaded)
        device.run("read-back", partial(rows.read_back, 2), computed).synchronize()

    def one_stream() -> None:
        def all_of_it() -> None:
            picture.upload(480)
            rows.read_back(2)

        device.run("compute", all_of_it).synchronize()

    found["three_streams"], found["one_stream"] = quantiles(through(three_streams)), quantiles(through(one_stream))
    found["upload"] = quantiles(through(lambda: device.run("upload", partial(picture.upload, 480)).synchronize()))
    found["read_back"] = quantiles(through(lambda: device.run("read-back", partial(rows.read_back, 2)).synchronize()))
    return found


LAYERS = 32 if CUDA else 2
WIDTH, HIDDEN = (1280, 5120) if CUDA else (64, 256)
HALF = torch.bfloat16


def weights(outputs: int, inputs: int) -> list[torch.Tensor]:
    return [torch.randn(outputs, inputs, device=DEVICE).mul_(inputs**-0.5).to(HALF) for _ in range(LAYERS)]


@section
def products() -> Any:
    """us a layer of the backbone's products, every layer with weights of its own, so that they come from memory."""
    shapes = {"qkv": (3 * WIDTH, WIDTH), "proj": (WIDTH, WIDTH), "fc1": (HIDDEN, WIDTH), "fc2": (WIDTH, HIDDEN)}
    made = {name: weights(*shape) for name, shape in shapes.items()}
    biases = {name: torch.zeros(shape[0], device=DEVICE, dtype=HALF) for name, shape in shapes.items()}
    found: dict[Any, Any] = {}
    for rows in (192, 384, 768, 6144):
        inputs = {name: torch.randn(rows, shape[1], device=DEVICE, dtype=HALF) for name, shape in shapes.items()}
        residual = torch.randn(rows, WIDTH, device=DEVICE)
        of = found[rows] = {}
        for name, matrices in made.items():
            x, bias = inputs[name], biases[name]
            of[name] = tried(lambda: us(lambda: [torch.addmm(bias, x, w.t()) for w in matrices], LAYERS))
        x, bias = inputs["fc1"], biases["fc1"]
        of["fc1, gelu in it (tanh)"] = tried(
            lambda: us(lambda: [torch._addmm_activation(bias, x, w.t(), use_gelu=True) for w in made["fc1"]], LAYERS)
        )
        for name in ("proj", "fc2"):
            of[f"{name}, onto a float32 residual"] = tried(
                lambda: us(
                    lambda: [torch.addmm(residual, inputs[name], w.t(), out_dtype=torch.float32) for w in made[name]],
                    LAYERS,
                )
            )
        if CUDA:
            scale = torch.ones((), device=DEVICE)
            for name, matrices in made.items():
                x8 = inputs[name].to(torch.float8_e4m3fn)

                def in_float8() -> float:
                    eights = [w.to(torch.float8_e4m3fn) for w in matrices]
                    return us(
                        lambda: [
                            torch._scaled_mm(
                                x8, w.t(), scale, scale, bias=biases[name], out_dtype=HALF, use_fast_accum=True
                            )
                            for w in eights
                        ],
                        LAYERS,
                    )

                of[f"{name}, float8"] = tried(in_float8)
    return found


@section
def split() -> Any:
    """us a layer of proj and fc2 onto a float32 residual, by our kernel that splits the sum, by tile and splits."""
    from hamba_core.network.fused import products as module

    if not CUDA:
        return "needs CUDA"
    found: dict[Any, Any] = {}
    kept = module._TILE, module._SPLITS
    for name, (outputs, inputs) in {"proj": (WIDTH, WIDTH), "fc2": (WIDTH, HIDDEN)}.items():
        matrices = weights(outputs, inputs)
        rows, residual = torch.randn(384, inputs, device=DEVICE).to(HALF), torch.randn(384, outputs, device=DEVICE)
        for tile in ((64, 64, 64), (64, 128, 64), (128, 128, 64), (128, 64, 128)):
            for splits in (1, 2, 4, 8):
                module._TILE, module._SPLITS = tile, splits

                def all_layers() -> None:
                    for matrix in matrices:
                        module.add_product(residual, rows, matrix, fused=True, split=True)

                found[f"{name} {tile} / {splits}"] = tried(lambda: us(all_layers, LAYERS))
    module._TILE, module._SPLITS = kept
    return found


@section
def attention() -> Any:
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.nn.functional import scaled_dot_product_attention

    found: dict[Any, Any] = {}
    for hands in (1, 2, 32):
        qkv = torch.randn(hands, 192, 3, 16, WIDTH // 16, device=DEVICE, dtype=HALF).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        for backend in (None, SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION):

            def measured() -> float:
                if backend is None:
                    return us(lambda: [scaled_dot_product_attention(q, k, v) for _ in range(32)], 32)
                with sdpa_kernel(backend):
                    return us(lambda: [scaled_dot_product_attention(q, k, v) for _ in range(32)], 32)

            found[f"{hands} {backend.name if backend else 'as chosen'}"] = tried(measured)
    return found


@section
def small_ones() -> Any:
    """us of what surrounds the products, for two hands."""
    from torch.nn import functional

    x, half = torch.randn(384, WIDTH, device=DEVICE), torch.randn(384, WIDTH, device=DEVICE, dtype=HALF)
    hidden = torch.randn(384, HIDDEN, device=DEVICE, dtype=HALF)
    ones, zeros = torch.ones(WIDTH, device=DEVICE), torch.zeros(WIDTH, device=DEVICE)
    n = range(100)
    inner = torch.randn(2, 1024, 16, 12, device=DEVICE, dtype=HALF).to(memory_format=torch.channels_last)
    taps = torch.randn(1024, 1, 3, 3, device=DEVICE, dtype=HALF)
    taps_last = taps.to(memory_format=torch.channels_last)
    features, x_proj = torch.randn(384, 1024, device=DEVICE), torch.randn(136, 1024, device=DEVICE)
    dt, dt_proj = torch.randn(4, 384, 32, device=DEVICE), torch.randn(4, 1024, 32, device=DEVICE)
    graph_x, graph_w = (
        torch.randn(42, 2, 512, device=DEVICE, dtype=HALF),
        torch.randn(42, 512, 512, device=DEVICE, dtype=HALF),
    )
    crops = torch.randn(2, 3, 256, 192, device=DEVICE, dtype=HALF)
    patch = torch.randn(WIDTH, 3, 16, 16, device=DEVICE, dtype=HALF)
    narrow = torch.randn(44, 1024, device=DEVICE)
    measured = {
        "layer_norm f32": lambda: [functional.layer_norm(x, (WIDTH,), ones, zeros) for _ in n],
        "layer_norm f32, cast": lambda: [functional.layer_norm(x, (WIDTH,), ones, zeros).to(HALF) for _ in n],
        "gelu": lambda: [functional.gelu(hidden) for _ in n],
        "residual f32 + bf16": lambda: [x + half for _ in n],
        "depthwise, cuDNN": lambda: [functional.conv2d(inner, taps, padding=1, groups=1024) for _ in n],
        "depthwise, taps channels last": lambda: [
            functional.conv2d(inner, taps_last, padding=1, groups=1024) for _ in n
        ],
        "silu": lambda: [functional.silu(inner) for _ in n],
        "x_proj f32": lambda: [features @ x_proj.t() for _ in n],
        "x_proj bf16 to f32": lambda: [
            torch.mm(features.to(HALF), x_proj.to(HALF).t(), out_dtype=torch.float32) for _ in n
        ],
        "dt_proj f32": lambda: [dt @ dt_proj.mT for _ in n],
        "x_proj f32 of 44 tokens": lambda: [narrow @ x_proj.t() for _ in n],
        "graph's 42 products": lambda: [torch.bmm(graph_x, graph_w) for _ in n],
        "patch embedding, cuDNN": lambda: [functional.conv2d(crops, patch, stride=16, padding=2) for _ in n],
        "patch embedding, unfold and product": lambda: [
            functional.unfold(crops, 16, padding=2, stride=16).mT @ patch.flatten(1).t() for _ in n
        ],
    }
    found = {name: tried(lambda: us(work, len(n))) for name, work in measured.items()}
    if CUDA:
        matmul = torch.backends.cuda.matmul
        before, matmul.fp32_precision = matmul.fp32_precision, "tf32"
        found["x_proj tf32"] = tried(lambda: us(measured["x_proj f32"], len(n)))
        matmul.fp32_precision = before
    return found


@section
def scan() -> Any:
    """Our kernel for two hands and for 32, on the map and on the column, and by warps and channels; steps inside it."""
    from hamba_core.network import DecoderConfiguration
    from hamba_core.network.state_space.blocks import SS2D

    if not CUDA:
        return "needs CUDA"
    block = SS2D(DecoderConfiguration(depths=(1,))).requires_grad_(False)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    block.to(DEVICE)
    found = {}
    for shape in ((2, 16, 12), (32, 16, 12), (2, 22, 1), (32, 22, 1)):
        x = torch.randn(*shape, 1024, device=DEVICE)
        found[f"fused_scans {shape}"] = us(lambda: [block.fused_scans(x) for _ in range(10)], 10)
    from hamba_core.network.fused.scanning import fused_scans_and_steps
    from hamba_core.network.state_space import cross_scan as module

    kept = module._WARPS, module._CHANNELS
    A, D = block.decay_rates(), block.Ds.view(4, -1)
    for warps in (4, 8):
        for channels in (8, 16):
            module._WARPS, module._CHANNELS = warps, channels
            for shape in ((2, 16, 12), (2, 22, 1)):
                x = torch.randn(*shape, 1024, device=DEVICE)
                features = torch.randn(shape[0], shape[1] * shape[2], 4, 34, device=DEVICE)

                def with_steps() -> None:
                    for _ in range(10):
                        fused_scans_and_steps(x, features, block.dt_projs_weight, block.dt_projs_bias, A, D)

                name = f"{shape} warps {warps} channels {channels}"
                found[name] = tried(lambda: us(lambda: [block.fused_scans(x) for _ in range(10)], 10))
                found[f"{name}, steps in it, without x_proj"] = tried(lambda: us(with_steps, 10))
    module._WARPS, module._CHANNELS = kept
    return found


@section
def compiled() -> Any:
    """The backbone and the whole network through Inductor, captured: what fusing gives without writing kernels."""
    network = contestants.prepared().network
    size = 2 if 2 in SIZES else SIZES[0]
    crops = torch.randn(size, 3, 256, 256, device=DEVICE)
    found: dict[Any, Any] = {}

    def plain() -> None:
        network.backbone(crops)

    found["backbone, plain"] = us(plain)
    if time.perf_counter() - BEGAN > arguments.deadline - 60:
        return found
    begin = time.perf_counter()
    # A trial on a processor traces alone: compiling takes longer there than all else.
    backbone = torch.compile(network.backbone, dynamic=False, backend="inductor" if CUDA else "eager")
    with torch.inference_mode():
        expected, got = network.backbone(crops), backbone(crops)
    found["compile_s"] = time.perf_counter() - begin
    found["difference"] = float((expected - got).abs().max() / expected.abs().max())
    found["backbone, compiled"] = us(lambda: backbone(crops))
    return found


@section
def tuned() -> Any:
    """us a layer of proj and fc2 for two hands as Inductor's max-autotune makes them, beside torch's own choice."""
    if not CUDA:
        return "needs CUDA"
    found: dict[Any, Any] = {}
    for name, (outputs, inputs) in {"proj": (WIDTH, WIDTH), "fc2": (WIDTH, HIDDEN)}.items():
        if time.perf_counter() - BEGAN > arguments.deadline - 30:
            return found
        matrices = weights(outputs, inputs)
        rows = torch.randn(384, inputs, device=DEVICE).to(HALF)
        product = torch.compile(torch.mm, mode="max-autotune-no-cudagraphs", dynamic=False)
        found[name] = tried(lambda: us(lambda: [product(rows, w.t()) for w in matrices], LAYERS))
        found[f"{name}, as it is"] = tried(lambda: us(lambda: [torch.mm(rows, w.t()) for w in matrices], LAYERS))
    return found


save()
