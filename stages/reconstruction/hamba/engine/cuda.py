"""A CUDA device: three streams, pinned buffers, events, graphs."""

import torch
from torch import Tensor
from torch.profiler import record_function

from stages.reconstruction.hamba.engine.device import Buffer, Event, Stream, Work

_WARM_UPS = 2
"""Passes before a capture: libraries set themselves up in the first, and may choose their kernels in it."""


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
        """A tensor on the device. Not cleared: that would be work on a stream that no event orders."""
        return torch.empty(shape, dtype=dtype, device=self.torch_device)

    def buffer(self, shape: tuple[int, ...], dtype: torch.dtype) -> Buffer:
        """Pinned memory and a tensor on the device."""
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
        """A CUDA graph.

        All share one pool of memory for what is between input and output, which is safe since they run one after the
        other, on one stream, and what they give is copied out of it by themselves.
        """
        queue = self._streams["compute"]
        with torch.cuda.device(self.torch_device):
            with torch.cuda.stream(queue):
                for _ in range(_WARM_UPS):
                    work()
            graph = torch.cuda.CUDAGraph()
            # Thread-local: what other threads ask of their own devices meanwhile does not end the capture.
            with torch.cuda.graph(graph, pool=self._pool, stream=queue, capture_error_mode="thread_local"):
                work()
        return graph.replay

    def clear(self) -> None:
        """Wait for the device, and give its cached memory back."""
        with torch.cuda.device(self.torch_device):
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        self._pool = torch.cuda.graph_pool_handle()
