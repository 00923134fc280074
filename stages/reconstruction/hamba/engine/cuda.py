"""A CUDA device has three streams, pinned buffers, events and graphs."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median
from threading import Lock
from typing import Final

import torch
from torch import Tensor
from torch.profiler import record_function

from stages.reconstruction.hamba.engine.device import Buffer, Event, Stream, Work

_WARM_UPS = 2
"""Passes before a capture: libraries set themselves up in the first, and may choose their kernels in it."""

_REPLAYS: Final = 25
"""Of work that is measured: some 50 ms of a GPU."""

_ONE_CAPTURE: Final = Lock()
"""Torch captures one graph at a time in a process, and no other thread may free memory of the device meanwhile."""


class Cuda:
    """One GPU.

    The caller waits for events by spinning where a frame's latency counts (`spin`): it notices the end at once. Else it
    sleeps, some tens of microseconds longer, and leaves its core to decoding and detection.
    """

    graphs = True

    def __init__(self, torch_device: torch.device, *, spin: bool) -> None:
        self.torch_device, self._spin = torch_device, spin
        streams: tuple[Stream, ...] = ("upload", "compute", "read-back")
        self._streams = {name: torch.cuda.Stream(torch_device) for name in streams}  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a tensor on the device. It is not cleared, which would be work on a stream that no event orders."""
        return torch.empty(shape, dtype=dtype, device=self.torch_device)

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """Return a buffer of pinned memory and a tensor on the device."""
        return Buffer(torch.empty(shape, dtype=dtype, pin_memory=True), self.empty(shape, dtype))

    def run(self, stream: Stream, work: Work, after: Event | None = None) -> Event:
        """Put work onto a stream."""
        queue = self._streams[stream]
        end = torch.cuda.Event(blocking=not self._spin)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(queue), record_function(f"hamba {stream}"):
            if isinstance(after, torch.cuda.Event):
                queue.wait_event(after)
            work()
            end.record(queue)
        return end

    def capture(self, work: Work) -> Work:
        """Capture the work as a CUDA graph, and return what replays it.

        All graphs share one pool of memory for what is between input and output. This is safe since they run one after
        the other, on one stream, and copy their results out of the pool themselves.
        """
        queue = self._streams["compute"]
        with _ONE_CAPTURE, torch.cuda.device(self.torch_device):
            with torch.cuda.stream(queue):
                for _ in range(_WARM_UPS):
                    work()
            graph = torch.cuda.CUDAGraph()
            # The capture is thread-local: what other threads ask of their own devices meanwhile does not end it.
            capture = torch.cuda.graph(graph, pool=self._pool, stream=queue, capture_error_mode="thread_local")
            with self._put_right_after_failure(), capture:
                work()
        return graph.replay

    def seconds(self, work: Work) -> float:
        """Return the seconds that captured work takes on the device, alone, as the median of some replays."""
        queue, replay, times = self._streams["compute"], self.capture(work), []
        with torch.cuda.stream(queue):
            for _ in range(_REPLAYS):
                first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
                first.record(queue)
                replay()
                last.record(queue)
                last.synchronize()
                times.append(first.elapsed_time(last) / 1e3)
        return float(median(times))

    @contextmanager
    def _put_right_after_failure(self) -> Iterator[None]:
        """Leave this thread's stream and the allocator as they were, also where a capture fails.

        Torch restores neither if ending the capture raises: the thread goes on with the capture's stream, and memory
        goes on coming from the graphs' pool.
        """
        before = torch.cuda.current_stream(self.torch_device)
        try:
            yield
        except BaseException:
            torch.cuda.set_stream(before)
            with suppress(Exception):  # not open, where ending the capture went well
                torch._C._cuda_endAllocateToPool(self.torch_device.index or 0, self._pool)
            self._pool = torch.cuda.graph_pool_handle()
            raise

    def clear(self) -> None:
        """Wait for the device, and give its cached memory back."""
        with _ONE_CAPTURE, torch.cuda.device(self.torch_device):
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        self._pool = torch.cuda.graph_pool_handle()

    def is_lost(self) -> bool:
        """Ask for a synchronisation, which a device that is lost answers with its error."""
        try:
            torch.cuda.synchronize(self.torch_device)
        except torch.AcceleratorError:
            return True
        return False
