"""Sections of the probe about the whole network: latency, rate, its parts, its kernels, and ways to run it."""

import gzip
import json
import time
from collections import defaultdict
from itertools import pairwise
from typing import Any

import torch

from pipeline.benchmarks.model import breakdown, contestants
from tests.gpu.visit.probe.options import CUDA, DEVICE, OUT, SECONDS, SIZES, WEIGHTS
from tests.gpu.visit.probe.sections import seconds_left
from tests.gpu.visit.probe.timing import quantiles, tried, us


def prepare() -> Any:
    begin = time.perf_counter()
    contestants.prepare(WEIGHTS, "default", DEVICE, SIZES)
    contestant = contestants.prepared()
    return {
        "seconds": time.perf_counter() - begin,
        "setup": contestant.setup._asdict(),
        "choices": [str(choice) for choice in (contestant.engine.choices() if contestant.engine else ())],
        "memory_gb": torch.cuda.memory_reserved(DEVICE) / 1e9 if CUDA else None,
    }


def latency() -> Any:
    found = {}
    for size in SIZES:
        contestants.latencies(size, 0.0)
        found[size] = quantiles([t for _ in range(3) for t in contestants.latencies(size, SECONDS / 3)])
    return found


def rate() -> Any:
    return {size: contestants.hands_per_s(size, SECONDS) for size in SIZES}


def parts() -> Any:
    return {
        size: {k: round(1e3 * v, 4) for k, v in breakdown.measure_parts(size, 3).items()}
        for size in SIZES
        if size in (1, 2, SIZES[-1])
    }


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
    path = OUT / "trace.json"
    profiled.export_chrome_trace(str(path))
    events = [e for e in json.loads(path.read_text())["traceEvents"] if e.get("ph") == "X"]
    with gzip.open(OUT / "trace.json.gz", "wb") as packed:
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
    with (OUT / "kernels.txt").open("w") as file:
        for number, each, together, name in rows:
            file.write(f"{number:8.1f} x {each:8.2f} us = {together:9.1f} us  {name}\n")
    return {
        "of_batch": len(events) / runs,
        "busy_us": sum(e["dur"] for e in events) / runs,
        "median_gap_us": small[len(small) // 2] if small else None,
        "sum_of_gaps_us": sum(small) / runs,
        "top": [f"{n:.0f} x {e:.2f} us = {t:.0f} us {name}" for n, e, t, name in rows[:25]],
    }


def fusions() -> Any:
    """us of the network by its fused kernels: all, each left out, as chosen, none, plain; crops both ways."""
    from hamba_core.hand import load_generic_hand
    from hamba_core.network import Fusions
    from hamba_core.network.fused.fusions import NO_FUSIONS
    from hamba_core.view import cut_places
    from hamba_core.weights import load

    contestant = contestants.prepared()
    dtype = contestant.crop_dtype
    network = contestant.network if CUDA else load(WEIGHTS, load_generic_hand())  # not packed
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
        while len(times) < 8 or sum(times) < SECONDS:
            begin = time.perf_counter()
            engine.begin(hands)()
            times.append(time.perf_counter() - begin)
        engine.close()
        found["one graph" if together else "three streams"] = quantiles(times[4:])
    return found


def compiled() -> Any:
    """The backbone and the whole network through Inductor, captured: what fusing gives without writing kernels."""
    network = contestants.prepared().network
    size = 2 if 2 in SIZES else SIZES[0]
    crops = torch.randn(size, 3, 256, 256, device=DEVICE)
    found: dict[Any, Any] = {}

    def plain() -> None:
        network.backbone(crops)

    found["backbone, plain"] = us(plain)
    if seconds_left() < 60:
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
