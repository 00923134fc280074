"""How a GPU is driven, on a stand-in for `torch.cuda` that keeps what torch keeps: streams, captures, memory pools."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from stages.reconstruction.hamba.engine.cuda import Cuda
from tests.stages.reconstruction.hamba.simulated import cuda_error

DEVICE = torch.device("cuda", 0)


class StandIn:
    """What `torch.cuda` does for captures, and what it leaves behind when one fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stream = "default"
        self.open_pools: set[int] = set()
        self.captures_at_once = self.most_captures_at_once = 0
        self.cleared_while_capturing = False
        self.lost = False
        self._pools = 0
        for name in ("stream", "graph", "device"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, f"_{name}"))
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: f"stream {id(object())}")
        monkeypatch.setattr(torch.cuda, "CUDAGraph", _Graph)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", self._new_pool)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: self.stream)
        monkeypatch.setattr(torch.cuda, "set_stream", self._set_stream)
        monkeypatch.setattr(torch.cuda, "synchronize", self._synchronize)
        monkeypatch.setattr(torch.cuda, "empty_cache", self._empty_cache)
        monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", self._end_pool, raising=False)

    def _new_pool(self) -> int:
        self._pools += 1
        return self._pools

    def _set_stream(self, stream: str) -> None:
        self.stream = stream

    def _end_pool(self, device: int, pool: int) -> None:
        self.open_pools.remove(pool)

    def _synchronize(self, device: Any = None) -> None:
        if self.lost:
            raise cuda_error("an illegal memory access was encountered", 700)

    def _empty_cache(self) -> None:
        self.cleared_while_capturing |= self.captures_at_once > 0

    @contextmanager
    def _device(self, device: torch.device) -> Iterator[None]:
        yield

    @contextmanager
    def _stream(self, stream: str) -> Iterator[None]:
        before, self.stream = self.stream, stream
        yield
        self.stream = before

    @contextmanager
    def _graph(self, graph: Any, pool: int, stream: str, capture_error_mode: str) -> Iterator[None]:
        self.captures_at_once += 1
        self.most_captures_at_once = max(self.most_captures_at_once, self.captures_at_once)
        before, self.stream = self.stream, stream
        self.open_pools.add(pool)
        try:
            yield
        except RuntimeError:
            self.captures_at_once -= 1
            # As torch: ending the capture fails too, so that neither stream nor pool are put right.
            raise cuda_error("operation failed due to a previous error during capture", 901) from None
        self.captures_at_once -= 1
        self.stream = before
        self.open_pools.remove(pool)


class _Graph:
    def replay(self) -> None:
        pass


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    return StandIn(monkeypatch)


def failing() -> Callable[[], None]:
    calls = iter([False, False, True])  # two passes to warm up, then the capture

    def work() -> None:
        if next(calls, False):
            raise RuntimeError("this kernel cannot be captured")

    return work


def test_a_capture_leaves_streams_and_pools_as_they_were(stand_in: StandIn) -> None:
    device = Cuda(DEVICE, spin=True)
    device.capture(lambda: None)()
    assert (stand_in.stream, stand_in.open_pools) == ("default", set())


def test_a_capture_that_fails_leaves_streams_and_pools_as_they_were(stand_in: StandIn) -> None:
    device = Cuda(DEVICE, spin=True)
    with pytest.raises(torch.AcceleratorError) as caught:
        device.capture(failing())
    assert "cannot be captured" in str(caught.value.__context__)
    assert (stand_in.stream, stand_in.open_pools) == ("default", set())
    device.capture(lambda: None)()
    assert (stand_in.stream, stand_in.open_pools) == ("default", set())


def test_one_graph_is_captured_at_a_time_and_no_memory_is_freed_meanwhile(stand_in: StandIn) -> None:
    inside, others_tried = threading.Event(), threading.Event()
    first, second = Cuda(DEVICE, spin=True), Cuda(DEVICE, spin=False)

    def slow() -> None:
        inside.set()
        others_tried.wait(10)

    threads = [threading.Thread(target=first.capture, args=(slow,))]
    threads[0].start()
    assert inside.wait(10)
    threads += [threading.Thread(target=second.capture, args=(lambda: None,)), threading.Thread(target=second.clear)]
    for thread in threads[1:]:
        thread.start()
        thread.join(0.2)
        assert thread.is_alive()  # it waits for its turn
    others_tried.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()
    assert stand_in.most_captures_at_once == 1
    assert not stand_in.cleared_while_capturing


def test_a_device_that_does_not_answer_is_lost(stand_in: StandIn) -> None:
    device = Cuda(DEVICE, spin=True)
    assert not device.is_lost()
    stand_in.lost = True
    assert device.is_lost()


def test_work_is_measured_by_replays_on_the_stream_of_the_network(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, recorded = iter(range(100)), []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: str) -> None:
            recorded.append((stream, stand_in.stream))
            self.at = next(clock)

        def synchronize(self) -> None:
            next(clock)

        def elapsed_time(self, other: "Event") -> float:
            return float(other.at - self.at)  # ms

    monkeypatch.setattr(torch.cuda, "Event", Event)
    done = []
    assert Cuda(DEVICE, spin=True).seconds(lambda: done.append(1)) == 1e-3
    assert len(done) == 3  # two passes to warm up and the capture: replays are the graph's
    assert len(set(recorded)) == 1
    assert recorded[0][0] == recorded[0][1]
