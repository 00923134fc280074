"""How the probe times: quantiles of a list of times, and an operation's time in a captured graph."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from tests.gpu.visit.probe.options import CUDA, DEVICE


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
